// Settings: who is logged in, whether the parts of the installation are well, who may do what, and for
// admins the tokens.
import { h, replace, toast } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { allows, session } from "./state.js";
import { sure } from "./act.js";
import { Pages } from "./list.js";
import { ago, bytes, count, time } from "./format.js";

const REFRESH = 5000; // ms

export async function settingsPage() {
  const system = h("div");
  const draw = async () => replace(system, await systemCards());
  await draw();
  const timer = setInterval(async () => {
    try {
      await draw();
    } catch (err) {
      if (err.status !== 401) replace(system, h("p.fault", { role: "alert" }, err.message)); // the next turn tries again
    }
  }, REFRESH);
  const parts = [h("h1", {}, t("nav.settings")), me(), system];
  if (allows("admin")) parts.push(await tokens());
  return { title: t("nav.settings"), nodes: parts, end: () => clearInterval(timer) };
}

const fact = (name, ...value) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value));
const table = (label, head, rows) => h("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, h("table.stacked", {},
  h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)));
const cells = (head, ...values) => values.map((v, i) => h("td", { "data-label": head[i] }, v));

function me() {
  return h("section.card", {}, h("h2", {}, t("settings.you")), h("dl.facts", {},
    fact(t("settings.name"), session.who.name), fact(t("settings.role"), word("role", session.who.role)),
    fact(t("settings.groups"), session.who.groups?.join(", ") || "–"), session.who.expires && fact(t("settings.until"), time(session.who.expires))));
}

async function systemCards() {
  const s = await api.status();
  return [gateways(s.gateways ?? []), store(s), roles(s.roles ?? [])];
}

function gateways(all) {
  const head = ["gateway", "state", "serves", "published", "seen"].map((k) => t(`gateways.${k}`));
  return h("section.card", { id: "gateways" }, h("h2", {}, t("gateways.head")), all.length === 0 ? h("p.faint", {}, t("gateways.none"))
    : table(t("gateways.head"), head, all.map((g) => {
      const tone = !g.alive ? "bad" : g.generation < g.published ? "wait" : "good";
      return h("tr", {}, cells(head, g.name, h(`span.chip.${tone}`, {}, t(`gateways.${tone}`)), count(g.generation), count(g.published), ago(g.seen)));
    })), h("p.small.faint", {}, t("gateways.what")));
}

function store(s) {
  const st = s.store ?? {}, tel = s.telemetry ?? {};
  const lag = st.lag ?? 0;
  return h("section.card", { id: "store" }, h("h2", {}, t("store.head")), h("dl.facts", {},
    fact(t("store.state"), h(`span.chip.${st.healthy ? "good" : "bad"}`, {}, t(st.healthy ? "store.good" : "store.bad")), st.fault && h("p.fault", {}, st.fault)),
    fact(t("store.kind"), word("kept", st.kind), st.address && h("span.faint", {}, ` ${st.address}`)),
    st.bytes > 0 && fact(t("store.bytes"), bytes(st.bytes), st.free > 0 && h("span.faint", {}, ` ${t("store.free", { free: bytes(st.free) })}`)),
    fact(t("store.lag"), h("span", {}, t("store.entries", { n: count(lag) }))),
    fact(t("telemetry.queued"), `${count(tel.queued)} / ${count(tel.capacity)}`),
    fact(t("telemetry.dropped"), h(tel.dropped > 0 ? "strong.bad" : "span", {}, count(tel.dropped)), tel.spooled > 0 && h("span.faint", {}, ` ${t("telemetry.spooled", { n: bytes(tel.spooled) })}`)),
    fact(t("settings.version"), s.version || session.version || "–"), s.started && fact(t("settings.started"), time(s.started)),
    fact(t("settings.process"), s.processRole ?? "–", s.leader && h("span.faint", {}, ` ${t(s.leader.leading ? "settings.leads" : "settings.follows")}`))));
}

function roles(all) {
  return h("section.card", {}, h("h2", {}, t("roles.head")), h("dl.facts", {}, (all.length > 0 ? all.map((r) => r.role) : ["viewer", "operator", "admin"]).map((r) => fact(word("role", r), word("may", r)))), h("p.small.faint", {}, t("roles.what")));
}

async function tokens() {
  const fresh = h("div", { "aria-live": "polite" });
  const body = h("tbody");
  const head = ["settings.name", "settings.role", "tokens.state", "tokens.created", "tokens.expires"].map((k) => t(k)).concat(t("tokens.act"));
  let pages;
  const below = h("div");
  const load = async () => {
    pages?.end();
    body.replaceChildren();
    pages = new Pages([(after) => api.tokens({ limit: 100, after })], (items) => body.append(...items.map((token) => row(token, head, load, fresh))));
    await pages.load();
    replace(below, pages.box);
  };
  await load();
  return h("section.card", { id: "tokens" }, h("h2", {}, t("tokens.head")), form(load, fresh), fresh,
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("tokens.head") }, h("table.stacked", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), body)), below);
}

function form(load, fresh) {
  const name = h("input", { id: "token-name", required: true, maxlength: 64, autocomplete: "off" });
  const groups = h("input", { id: "token-groups", maxlength: 200, autocomplete: "off", placeholder: "release-managers" });
  const role = h("select", { id: "token-role" }, ["viewer", "operator", "admin"].map((r) => h("option", { value: r }, word("role", r))));
  const expires = h("select", { id: "token-expires" }, [["720h", "30d"], ["2160h", "90d"], ["24h", "1d"], ["", "never"]].map(([v, key]) => h("option", { value: v }, t(`tokens.${key}`))));
  const fault = h("p.fault", { role: "alert" });
  const field = (label, input) => h("label.field", { for: input.id }, h("span", {}, label), input);
  return h("form.inline", {
    onsubmit: async (event) => {
      event.preventDefault();
      fault.textContent = "";
      try {
        const named = groups.value.split(",").map((g) => g.trim()).filter(Boolean);
        const made = await api.createToken({ name: name.value.trim(), role: role.value, ...(named.length > 0 ? { groups: named } : {}), ...(expires.value ? { expires: expires.value } : {}) });
        once(fresh, made);
        name.value = "";
        await load();
      } catch (err) {
        fault.textContent = err.words ?? err.message;
      }
    },
  }, field(t("settings.name"), name), field(t("settings.role"), role), field(t("settings.groups"), groups), field(t("tokens.expires"), expires), h("button.primary", { type: "submit", id: "token-create" }, t("tokens.create")), fault);
}

// once shows a token in clear: the only time that anybody sees it.
const once = (fresh, made) => replace(fresh, h("p.once", {}, t("tokens.once", { name: made.name }), h("code.wrap", { id: "fresh-token" }, made.token)));

const state = (token) => (token.revoked ? "revoked" : token.expires && Date.parse(token.expires) < Date.now() ? "expired" : "valid");

function row(token, head, load, fresh) {
  const act = (what) => async () => {
    try {
      await what();
      await load();
    } catch (err) {
      toast(err.words ?? err.message, true);
    }
  };
  const live = state(token) === "valid";
  return h("tr", {}, cells(head, [token.name, token.groups?.length > 0 && h("span.small.faint", {}, ` ${token.groups.join(", ")}`)], word("role", token.role),
    h(`span.chip.${live ? "good" : "wait"}`, {}, t(`tokens.${state(token)}`)), h("span.nowrap", {}, time(token.created)), h("span.nowrap", {}, token.expires ? time(token.expires) : t("tokens.never")),
    h("span.actions", {}, live && sure(t("tokens.rotate"), `${t("tokens.rotate")}: ${token.name}`, t("tokens.rotateSure"), act(async () => once(fresh, await api.rotateToken(token.id, "1h")))),
      !token.revoked && sure(t("tokens.revoke"), `${t("tokens.revoke")}: ${token.name}`, t("tokens.sure"), act(async () => {
        await api.revokeToken(token.id);
        toast(t("tokens.gone", { name: token.name }));
      })))));
}
