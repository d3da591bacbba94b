// The audit page: every decision of a model, its chain verified by the server, filtered and exported here.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { decisionRows } from "./decisions.js";

export async function auditPage(name) {
  const [decisions, chain] = await Promise.all([api.audit(name), api.verify(name)]);
  const all = decisions.items;
  const rows = h("div", { "aria-live": "polite" });
  const select = (id, values, group) => h("select", { id, onchange: draw, "aria-label": t(`audit.${id}`) },
    h("option", { value: "" }, t(`audit.${id}`)), [...new Set(values)].sort().map((v) => h("option", { value: v }, group ? word(group, v) : v)));
  const text = h("input", { id: "filter", type: "search", placeholder: t("audit.filter"), "aria-label": t("audit.filter"), oninput: draw });
  const what = select("what", all.map((d) => d.what), "what");
  const by = select("by", all.map((d) => d.by));
  const number = h("span.faint");

  function kept() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    return all.filter((d) => {
      const line = `${d.release} ${d.what} ${d.step} ${d.by} ${d.reason} ${d.hash}`.toLowerCase();
      return (!what.value || d.what === what.value) && (!by.value || d.by === by.value) && words.every((w) => line.includes(w));
    });
  }

  function draw() {
    const list = kept();
    number.textContent = t("audit.shown", { n: list.length, of: all.length });
    replace(rows, list.length === 0 ? h("p.faint", {}, t("audit.none")) : decisionRows(list, true));
  }

  function save() {
    const url = URL.createObjectURL(new Blob([JSON.stringify({ chain, decisions: kept() }, null, 2)], { type: "application/json" }));
    h("a", { href: url, download: `audit-${name}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  draw();
  return {
    title: `${t("audit.head")} ${name}`,
    nodes: [
      h("p.crumbs", {}, h("a", { href: "#/" }, t("nav.models")), " / ", h("a", { href: `#/models/${encodeURIComponent(name)}` }, name), " / ", t("audit.head")),
      h("h1", {}, t("audit.head"), " ", name), chainCard(chain),
      h("section.card", {}, h("div.filters", {}, text, what, by, number, h("span.space"), h("button", { id: "export", type: "button", onclick: save }, t("audit.export"))), rows),
    ],
  };
}

function chainCard(chain) {
  return h(`section.card.chain.is-${chain.ok ? "good" : "bad"}`, { id: "chain" },
    h("p", {}, h(`span.chip.${chain.ok ? "good" : "bad"}`, {}, t(chain.ok ? "audit.ok" : "audit.broken")), " ",
      t("audit.chain", { decisions: chain.decisions, releases: chain.releases })),
    chain.fault && h("p.fault", {}, chain.fault),
    chain.head && h("p.faint.small", {}, t("audit.hash"), " ", h("code.wrap", {}, chain.head)));
}
