// The console: picks the page for the address behind the #, and keeps what all pages share.
import { h, replace, toast } from "./dom.js";
import * as api from "./api.js";
import { language, languages, setLanguage, t, word } from "./i18n.js";
import { connect, disconnect, listen, session } from "./state.js";
import { loginPage } from "./login.js";
import { modelsPage } from "./models.js";
import { releasePage } from "./release.js";
import { auditPage } from "./audit.js";
import { settingsPage } from "./settings.js";

const THEME = "sluice.theme";
const themes = ["auto", "light", "dark"];
const main = document.getElementById("main");
let page = null; // {title, nodes, end}
let turn = 0; // of the page being opened: a slow answer must not replace a later page

const routes = [
  [/^$/, () => modelsPage()],
  [/^models\/([^/]+)$/, (name) => releasePage(name, "latest")],
  [/^models\/([^/]+)\/releases\/(\d+|latest)$/, (name, n) => releasePage(name, n)],
  [/^models\/([^/]+)\/audit$/, (name) => auditPage(name)],
  [/^settings$/, () => settingsPage()],
];

function match() {
  const path = location.hash.replace(/^#\/?/, "");
  for (const [pattern, open] of routes) {
    const m = pattern.exec(path);
    if (m) {
      try { return () => open(...m.slice(1).map(decodeURIComponent)); } catch { break; }
    }
  }
  return async () => ({ title: t("error.page"), nodes: [h("h1", {}, t("error.page")), h("p", {}, h("a", { href: "#/" }, t("nav.models")))] });
}

async function open() {
  const mine = ++turn;
  page?.end?.();
  page = null;
  header();
  if (!session.who) return show(loginPage(enter), mine);
  main.setAttribute("aria-busy", "true");
  try {
    show(await match()(), mine);
  } catch (err) {
    if (err.status === 401) return;
    show({ title: t("error.head"), nodes: [h("h1", {}, t("error.head")), h("p.fault", {}, err.message), err.remedy && h("p", {}, err.remedy), h("button", { onclick: open }, t("error.again"))] }, mine);
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

function theme() {
  const stored = localStorage.getItem(THEME);
  return themes.includes(stored) ? stored : "auto";
}

function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

function header() {
  const other = Object.keys(languages).find((l) => l !== language());
  const link = (href, key, here) => h("a", { href, "aria-current": here ? "page" : null }, t(key));
  const path = location.hash.replace(/^#\/?/, "");
  document.getElementById("skip").textContent = t("nav.skip");
  replace(document.getElementById("top"),
    h("a.brand", { href: "#/" }, h("img", { src: new URL("icon.svg", import.meta.url).href, alt: "", width: 26, height: 26 }), h("span.brand-name", {}, "Sluice")),
    session.who && h("nav", { "aria-label": t("nav.label") }, link("#/", "nav.models", path === "" || path.startsWith("models")), link("#/settings", "nav.settings", path === "settings")),
    h("span.space"),
    session.who && h(`span.live.${session.live}`, { role: "status", title: t(`live.${session.live}`) }, h("span.live-text", {}, t(`live.${session.live}`))),
    h("button.quiet", { id: "lang", lang: other, type: "button", onclick: async () => { await setLanguage(other); open(); } }, languages[other]),
    h("button.quiet", {
      id: "theme", type: "button", title: t("theme.switch"), "aria-label": `${t("theme.switch")}: ${t("theme." + theme())}`,
      onclick: () => {
        localStorage.setItem(THEME, themes[(themes.indexOf(theme()) + 1) % themes.length]);
        applyTheme();
        open();
      },
    }, { auto: "◐", light: "☀", dark: "☾" }[theme()]),
    session.who && h("span.who", { title: word("role", session.who.role) }, session.who.name),
    session.who && h("button.quiet", { id: "logout", type: "button", onclick: leave }, t("nav.logout")));
}

// enter is called with a token that somebody typed; it throws when the server refuses it.
async function enter(value) {
  api.setToken(value);
  session.who = await api.whoami();
  session.version = (await api.version()).version;
  connect();
  open();
}

function leave() {
  api.forgetToken();
  disconnect();
  session.who = null;
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
  const was = session.who !== null;
  disconnect();
  session.who = null;
  if (!was) return;
  toast(t("login.over"), true);
  open();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", open); // canvases don't follow by themselves
applyTheme();
await setLanguage("");
if (api.token()) {
  try {
    await enter(api.token());
  } catch {
    open();
  }
} else {
  open();
}
