// Settings: who is logged in, and for admins the tokens.
import { h, replace, toast } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { allows, session } from "./state.js";
import { time } from "./format.js";

export async function settingsPage() {
  const nodes = [h("h1", {}, t("nav.settings")), me()];
  if (allows("admin")) nodes.push(await tokens());
  else nodes.push(h("p.faint", {}, t("settings.adminOnly")));
  return { title: t("nav.settings"), nodes };
}

function me() {
  const fact = (name, value) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value));
  return h("section.card", {}, h("h2", {}, t("settings.you")), h("dl.facts", {},
    fact(t("settings.name"), session.who.name), fact(t("settings.role"), word("role", session.who.role)),
    fact(t("settings.groups"), session.who.groups?.join(", ") || "–"), fact(t("settings.version"), session.version)));
}

async function tokens() {
  const rows = h("div"), fresh = h("div", { "aria-live": "polite" });
  const load = async () => replace(rows, table((await api.tokens()).items ?? [], load));
  await load();
  return h("section.card", {}, h("h2", {}, t("tokens.head")), form(load, fresh), fresh, rows);
}

function form(load, fresh) {
  const name = h("input", { id: "token-name", required: true, maxlength: 64, autocomplete: "off" });
  const role = h("select", { id: "token-role" }, ["viewer", "operator", "admin"].map((r) => h("option", { value: r }, word("role", r))));
  const expires = h("select", { id: "token-expires" }, [["720h", "30d"], ["2160h", "90d"], ["24h", "1d"], ["", "never"]].map(([v, key]) => h("option", { value: v }, t(`tokens.${key}`))));
  const fault = h("p.fault", { role: "alert" });
  const field = (label, input) => h("label.field", { for: input.id }, h("span", {}, label), input);
  return h("form.inline", {
    onsubmit: async (event) => {
      event.preventDefault();
      fault.textContent = "";
      try {
        const made = await api.createToken({ name: name.value.trim(), role: role.value, ...(expires.value ? { expires: expires.value } : {}) });
        replace(fresh, h("p.once", {}, t("tokens.once", { name: made.name }), h("code.wrap", { id: "fresh-token" }, made.token)));
        name.value = "";
        await load();
      } catch (err) {
        fault.textContent = err.remedy ? `${err.message}. ${err.remedy}` : err.message;
      }
    },
  }, field(t("settings.name"), name), field(t("settings.role"), role), field(t("tokens.expires"), expires), h("button.primary", { type: "submit", id: "token-create" }, t("tokens.create")), fault);
}

const state = (token) => (token.revoked ? "revoked" : token.expires && Date.parse(token.expires) < Date.now() ? "expired" : "valid");

function table(list, load) {
  const newest = [...list].sort((a, b) => Date.parse(b.created) - Date.parse(a.created));
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("tokens.head") }, h("table", {},
    h("thead", {}, h("tr", {}, [t("settings.name"), t("settings.role"), t("tokens.state"), t("tokens.created"), t("tokens.expires"), ""].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, newest.map((token) => h("tr", {},
      h("td", {}, token.name), h("td", {}, word("role", token.role)),
      h("td", {}, h(`span.chip.${state(token) === "valid" ? "good" : "wait"}`, {}, t(`tokens.${state(token)}`))),
      h("td.nowrap", {}, time(token.created)), h("td.nowrap", {}, token.expires ? time(token.expires) : t("tokens.never")),
      h("td", {}, !token.revoked && revoke(token, load)))))));
}

// revoke needs a second click, so that no slip locks somebody out.
function revoke(token, load) {
  const button = h("button.small", { type: "button", "aria-label": `${t("tokens.revoke")}: ${token.name}` }, t("tokens.revoke"));
  let sure = false;
  button.addEventListener("click", async () => {
    if (!sure) {
      sure = true;
      button.textContent = t("tokens.sure");
      button.classList.add("danger");
      return;
    }
    try {
      await api.revokeToken(token.id);
      toast(t("tokens.gone", { name: token.name }));
      await load();
    } catch (err) {
      toast(err.message, true);
    }
  });
  return button;
}
