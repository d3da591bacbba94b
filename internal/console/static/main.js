// The console: picks the page for the address behind the #, and keeps what all pages share.
import { h, replace, toast } from "./dom.js";
import * as api from "./api.js";
import { language, languages, setLanguage, t, word } from "./i18n.js";
import { disconnect, follow, listen, session } from "./state.js";
import { applyTheme, nextTheme, theme, themeSign } from "./theme.js";
import { loginPage } from "./login.js";
import { modelsPage } from "./models.js";
import { modelPage } from "./model.js";
import { releasePage } from "./release.js";
import { auditPage } from "./audit.js";
import { planPage } from "./plan.js";
import { settingsPage } from "./settings.js";

const main = document.getElementById("main");
let page = null; // {title, nodes, end}
let turn = 0; // of the page being opened: a slow answer must not replace a later page

// routes: address, part of the console, what opens it, and what the stream is about there.
const routes = [
  [/^$/, "models", () => modelsPage(), () => ""],
  [/^models\/([^/]+)$/, "models", (name) => modelPage(name), (name) => name],
  [/^models\/([^/]+)\/releases\/(\d+|latest)$/, "models", (name, n) => releasePage(name, n), (name) => name],
  [/^models\/([^/]+)\/audit$/, "audit", (name, q) => auditPage({ ...q, model: name }), () => null],
  [/^audit$/, "audit", (q) => auditPage(q), () => null],
  [/^models\/([^/]+)\/plan$/, "plan", (name) => planPage(name), () => null],
  [/^plan$/, "plan", () => planPage(""), () => null],
  [/^settings$/, "settings", () => settingsPage(), () => null],
];

// match reads the address: #/models/credit/audit?what=pause
function match() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const values = Object.fromEntries(new URLSearchParams(search ?? ""));
  for (const [pattern, place, open, stream] of routes) {
    const m = pattern.exec(path);
    if (!m) continue;
    try {
      const args = m.slice(1).map(decodeURIComponent);
      return { place, open: () => open(...args, values), stream: stream(...args) };
    } catch { break; }
  }
  return { place: "", stream: null, open: async () => ({ title: t("error.page"), nodes: [h("h1", {}, t("error.page")), h("p", {}, h("a", { href: "#/" }, t("nav.models")))] }) };
}

async function open() {
  const mine = ++turn;
  page?.end?.();
  page = null;
  header();
  if (!session.who) return show(await loginPage(enter), mine);
  const next = match();
  if (next.stream !== null) follow(next.stream);
  main.setAttribute("aria-busy", "true");
  try {
    show(await next.open(), mine);
  } catch (err) {
    if (err.status === 401) return;
    show({ title: t("error.head"), nodes: [h("h1", {}, t("error.head")), h("p.fault", {}, err.message), err.remedy && h("p", {}, err.remedy), h("button", { type: "button", onclick: open }, t("error.again"))] }, mine);
  }
}

function show(next, mine) {
  if (mine !== turn) {
    next.end?.();
    return;
  }
  page = next;
  main.removeAttribute("aria-busy");
  document.title = `${next.title} · Sluice`;
  main.replaceChildren(...next.nodes.flat(Infinity).filter(Boolean));
  next.shown?.();
  header();
  if (document.activeElement === document.body && session.who) main.focus({ preventScroll: true });
}

function header() {
  const other = Object.keys(languages).find((l) => l !== language());
  const place = session.who ? match().place : "";
  const link = (href, key) => h("a", { href, "aria-current": place === key ? "page" : null }, t(`nav.${key}`));
  document.getElementById("skip").textContent = t("nav.skip");
  replace(document.getElementById("top"),
    h("a.brand", { href: "#/", "aria-label": "Sluice" }, h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 26, height: 26 }), h("span.brand-name", {}, "Sluice")),
    session.who && h("nav", { "aria-label": t("nav.label") }, link("#/", "models"), link("#/plan", "plan"), link("#/audit", "audit"), link("#/settings", "settings"), h("a", { href: `/guide/${language()}/index` }, t("nav.guide"))),
    h("span.space"),
    session.who && h(`span.live.${session.live}`, { role: "status", title: t(`live.${session.live}`) }, h("span.live-text", {}, t(`live.${session.live}`))),
    !session.who && h("a.quiet.button", { href: `/guide/${language()}/index` }, t("nav.guide")),
    h("button.quiet", { id: "lang", lang: other === "zh" ? "zh-CN" : other, type: "button", onclick: async () => { await setLanguage(other); open(); } }, languages[other]),
    h("button.quiet", { id: "theme", type: "button", title: t("theme.switch"), "aria-label": `${t("theme.switch")}: ${t("theme." + theme())}`, onclick: () => { nextTheme(); open(); } }, themeSign()),
    session.who && h("span.who", { title: word("role", session.who.role) }, session.who.name),
    session.who && h("button.quiet", { id: "logout", type: "button", onclick: leave }, t("nav.logout")));
}

// enter takes what the server says of a session that has begun.
async function enter(who) {
  api.setCsrf(who.csrf);
  session.who = who;
  session.version = (await api.version()).version;
  open();
}

function left() {
  disconnect();
  session.who = null;
  api.setCsrf("");
}

async function leave() {
  try {
    await api.logout();
  } catch (err) {
    if (err.status !== 401) { // the session may live on: say so
      toast(err.message, true);
      return;
    }
  }
  left();
  open();
}

// The header shows whether the stream is alive.
let connection = "";
listen(() => {
  if (connection !== session.live) {
    connection = session.live;
    header();
  }
});
window.addEventListener("hashchange", () => { window.scrollTo(0, 0); open(); });
api.onUnauthorized(() => {
  if (session.who === null) return;
  left();
  toast(t("login.over"), true);
  open();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", open); // canvases don't follow by themselves
applyTheme();
await setLanguage("");
try {
  await enter(await api.currentSession());
} catch {
  open(); // nobody is logged in, or the server is away: the login page says which
}
