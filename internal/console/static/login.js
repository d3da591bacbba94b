// The login page: a token, checked by the server, kept for this tab.
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { forgetToken } from "./api.js";

export function loginPage(enter) {
  const token = h("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false", placeholder: "slc_…" });
  const fault = h("p.fault", { role: "alert" });
  const go = h("button.primary", { id: "login", type: "submit" }, t("login.go"));
  const form = h("form.card.login", {
    onsubmit: async (event) => {
      event.preventDefault();
      fault.textContent = "";
      go.disabled = true;
      try {
        await enter(token.value.trim());
      } catch (err) {
        forgetToken();
        fault.textContent = err.status === 401 ? t("login.refused") : err.message;
        go.disabled = false;
        token.focus();
      }
    },
  }, h("h1", {}, t("login.head")), h("p.faint", {}, t("login.what")),
  h("label", { for: "token" }, t("login.token")), token, fault, go,
  h("p.faint.small", {}, t("login.help")), h("pre", {}, "sluice token create --name NAME --role operator"));
  return { title: t("login.head"), nodes: [form], shown: () => token.focus() };
}
