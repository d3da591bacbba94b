// The audit page: every decision of all models or of one, filtered and exported by the server, with its
// chain of hashes verified; and for admins what else was done: files applied, tokens made and revoked.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { allows } from "./state.js";
import { Pages, debounce } from "./list.js";
import { decisionHead, decisionRow } from "./decisions.js";
import { count, time } from "./format.js";

const PAGE = 100;
const whats = ["start", "advance", "hold", "pause", "resume", "rollback", "finish", "stop", "undo", "retry", "adjust", "baseline", "note"];
const fields = ["q", "what", "by", "release", "from", "to"];

export async function auditPage(query) {
  const page = new AuditPage(query);
  await page.list();
  return page.page();
}

class AuditPage {
  constructor(query) {
    this.model = query.model ?? "";
    const again = debounce(300, () => this.list());
    const input = (id, type, label) => h("input", { id, type, value: query[id] ?? "", placeholder: label, "aria-label": label, oninput: again });
    this.inputs = {
      q: input("q", "search", t("audit.filter")),
      what: h("select", { id: "what", "aria-label": t("audit.what"), onchange: again }, h("option", { value: "" }, t("audit.what")), whats.map((w) => h("option", { value: w, selected: query.what === w }, word("what", w)))),
      by: input("by", "text", t("audit.by")), release: input("release", "number", t("audit.release")),
      from: dated("from", t("audit.from"), query.from, again), to: dated("to", t("audit.to"), query.to, again),
    };
    this.inputs.release.min = 1;
    this.body = h("tbody");
    this.below = h("div");
    this.exports = h("span.actions");
    this.chain = h("div");
  }

  values() {
    const value = (id) => (id === "from" || id === "to" ? this.inputs[id].querySelector("input") : this.inputs[id]).value.trim();
    const out = Object.fromEntries(fields.map((id) => [id, value(id)]));
    if (out.from) out.from = new Date(`${out.from}T00:00:00`).toISOString();
    if (out.to) out.to = new Date(`${out.to}T23:59:59.999`).toISOString();
    return out;
  }

  async list() {
    this.pages?.end();
    const filter = this.values();
    let fresh = true;
    const mine = this.pages = new Pages([(after) => api.audit(this.model, { ...filter, limit: PAGE, after })], (items) => {
      if (fresh) this.body.replaceChildren();
      fresh = false;
      this.body.append(...items.map((d) => decisionRow(d, true)));
    });
    const file = (format) => h("a.button", { id: `export-${format}`, href: `${api.auditPath(this.model)}${api.query({ ...filter, format })}`, download: `audit${this.model ? `-${this.model}` : ""}.${format}` }, t("audit.export", { format: format.toUpperCase() }));
    replace(this.exports, file("csv"), file("jsonl"));
    await mine.load();
    if (mine !== this.pages) return;
    if (fresh && mine.note.textContent) this.body.replaceChildren();
    replace(this.below, mine.box, this.body.childElementCount === 0 && !mine.note.textContent && h("p.faint", {}, t("audit.none")));
  }

  page() {
    this.verify();
    const name = this.model;
    const crumbs = name ? h("p.crumbs", {}, h("a", { href: "#/" }, t("nav.models")), " / ", h("a", { href: `#/models/${encodeURIComponent(name)}` }, name), " / ", t("audit.head")) : null;
    return {
      title: `${t("audit.head")} ${name}`, end: () => this.pages.end(),
      nodes: [crumbs, h("div.page-head", {}, h("h1", {}, t("audit.head"), " ", name), name && h("a", { href: "#/audit" }, t("audit.all"))), this.chain,
        h("section.card", {}, h("div.filters", { role: "search" }, Object.values(this.inputs), h("span.space"), this.exports),
          h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("decisions.head") }, h("table.stacked", {}, decisionHead(true), this.body)), this.below),
        !name && allows("admin") && acts()],
    };
  }

  // verify shows the chain of this model, or offers to verify all.
  async verify() {
    if (!this.model) {
      replace(this.chain, verifyAll());
      return;
    }
    try {
      replace(this.chain, chainCard(await api.verify(this.model)));
    } catch (err) {
      if (err.status !== 401) replace(this.chain, h("p.fault", { role: "alert" }, err.message));
    }
  }
}

function dated(id, label, value, again) {
  return h("label.dated", { for: id }, h("span.small.faint", {}, label), h("input", { id, type: "date", value: value ?? "", onchange: again }));
}

function chainCard(chain) {
  return h(`section.card.chain.is-${chain.ok ? "good" : "bad"}`, { id: "chain" },
    h("p", {}, h(`span.chip.${chain.ok ? "good" : "bad"}`, {}, t(chain.ok ? "audit.ok" : "audit.broken")), " ",
      t("audit.chain", { decisions: count(chain.decisions), releases: count(chain.releases) })),
    chain.fault && h("p.fault", {}, chain.fault),
    chain.head && h("p.faint.small", {}, t("audit.hash"), " ", h("code.wrap", {}, chain.head)));
}

// verifyAll has the chain of each model checked, one after the other.
function verifyAll() {
  const out = h("div", { id: "chain", role: "status" });
  const go = h("button", { id: "verify", type: "button" }, t("audit.verify"));
  go.addEventListener("click", async () => {
    go.disabled = true;
    let models = 0, decisions = 0;
    const broken = [];
    try {
      for (let after = ""; ;) {
        const page = await api.models({ limit: 200, after });
        for (const m of page.items) {
          const chain = await api.verify(m.name);
          models++;
          decisions += chain.decisions;
          if (!chain.ok) broken.push([m.name, chain.fault]);
          out.textContent = t("audit.verifying", { models: count(models), decisions: count(decisions) });
        }
        after = page.next ?? "";
        if (!after) break;
      }
      const good = broken.length === 0;
      replace(out, h(`p.chain-line`, {}, h(`span.chip.${good ? "good" : "bad"}`, {}, t(good ? "audit.ok" : "audit.broken")), " ", t("audit.verified", { models: count(models), decisions: count(decisions) })),
        !good && h("ul", {}, broken.map(([name, fault]) => h("li.bad", {}, h("a", { href: `#/models/${encodeURIComponent(name)}/audit` }, name), ": ", fault))));
    } catch (err) {
      out.textContent = err.message;
    }
    go.disabled = false;
  });
  return h("section.card.chain", {}, h("p", {}, t("audit.chainWhat")), h("div.actions", {}, go), out);
}

// acts is what people did beside releases.
function acts() {
  const body = h("tbody");
  const none = h("p.faint", { hidden: true }, t("audit.none"));
  const pages = new Pages([(after) => api.acts({ limit: 50, after })], (items) => body.append(...items.map((a) => h("tr", {},
    h("td.nowrap", { "data-label": t("decisions.time") }, time(a.time)), h("td", { "data-label": t("decisions.what") }, word("acts", a.what)),
    h("td", { "data-label": t("acts.subject") }, a.subject), h("td", { "data-label": t("decisions.by") }, a.by, h("span.small.faint", {}, ` ${[a.role && word("role", a.role), a.address].filter(Boolean).join(", ")}`)), h("td", { "data-label": t("decisions.reason") }, a.reason ?? "")))));
  const box = h("section.card", {}, h("details", { ontoggle: async (event) => {
    if (!event.currentTarget.open || body.childElementCount > 0) return;
    await pages.load();
    none.hidden = body.childElementCount > 0;
  } }, h("summary", {}, t("acts.head")), h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("acts.head") }, h("table.stacked", {},
    h("thead", {}, h("tr", {}, [t("decisions.time"), t("decisions.what"), t("acts.subject"), t("decisions.by"), t("decisions.reason")].map((x) => h("th", { scope: "col" }, x)))), body)), none, pages.box));
  return box;
}
