// The login page: a token, or the organisation's own login where the server is set up for it.
import { h } from "./dom.js";
import { t } from "./i18n.js";
import * as api from "./api.js";

export async function loginPage(enter) {
  let ways = { token: true, oidc: false };
  let away = "";
  try {
    ways = await api.loginWays();
  } catch (err) {
    away = err.message;
  }
  const token = h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false", placeholder: "slc_…", "aria-describedby": "login-fault" });
  const fault = h("p.fault", { id: "login-fault", role: "alert" }, away);
  const go = h("button.primary", { id: "login", type: "submit" }, t("login.go"));
  const form = h("form.card.login", {
    onsubmit: async (event) => {
      event.preventDefault();
      fault.textContent = "";
      go.disabled = true;
      try {
        await enter(await api.login(token.value.trim()));
      } catch (err) {
        fault.textContent = refusal(err);
        go.disabled = false;
        token.focus();
      }
    },
  }, h("h1", {}, t("login.head")), h("p.faint", {}, t("login.what")),
  ways.oidc && [h("a.button.primary", { id: "oidc", href: "/api/v1/oidc/login" }, t("login.oidc", { name: ways.oidcName || "OpenID Connect" })), h("p.or", {}, t("login.or"))],
  h("label", { for: "token" }, t("login.token")), token, fault, go,
  h("p.faint.small", {}, t("login.help")), h("pre", { tabindex: 0 }, "sluice token create --name NAME --role operator"));
  return { title: t("login.head"), nodes: [form], shown: () => token.focus() };
}

function refusal(err) {
  if (err.status === 401) return t("login.refused");
  if (err.status === 429) return t("login.slow", { n: err.retryAfter ?? 60 });
  return err.message;
}
