// The page of one model: what is live, its releases, and what can be begun or taken back.
import { h, replace } from "./dom.js";
import { t } from "./i18n.js";
import * as api from "./api.js";
import { listen } from "./state.js";
import { Pages } from "./list.js";
import { ended, phaseChip } from "./draw.js";
import { row } from "./models.js";
import { modelButtons } from "./act.js";
import { brief } from "./words.js";
import { count, duration, number, time } from "./format.js";

const PAGE = 50;
const groups = ["", "Succeeded", "RolledBack", "Stopped", "Undone", "running"];

export async function modelPage(name) {
  const page = new ModelPage(await api.model(name));
  await page.list();
  return page.page();
}

const path = (name) => `#/models/${encodeURIComponent(name)}`;

class ModelPage {
  constructor(model) {
    this.m = model;
    this.head = h("div");
    this.body = h("tbody");
    this.below = h("div");
    this.group = h("select", { id: "group", "aria-label": t("model.group"), onchange: () => this.list() },
      groups.map((g) => h("option", { value: g }, g === "" ? t("model.all") : g === "running" ? t("group.running") : t(`phase.${g}`))));
    this.draw();
  }

  page() {
    const m = this.m;
    const silence = listen((event) => this.see(event));
    return {
      title: m.name, end: () => { silence(); this.pages.end(); },
      nodes: [h("p.crumbs", {}, h("a", { href: "#/" }, t("nav.models")), " / ", m.name), this.head,
        h("section.card", {}, h("div.filters", {}, h("h2", {}, t("release.others")), h("span.space"), this.group),
          h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("release.others") }, h("table.stacked", {},
            h("thead", {}, h("tr", {}, ["release", "versions", "outcome", "began", "took", "served", "why"].map((k) => h("th", { scope: "col" }, t(`model.${k}`))))), this.body)),
          this.below)],
    };
  }

  see(event) {
    if (event?.release?.model !== this.m.name) return;
    const before = this.m.current;
    this.m.current = event.release;
    if (before?.number !== event.release.number || before?.phase !== event.release.phase) this.again();
    else this.draw();
  }

  async again() {
    try {
      this.m = await api.model(this.m.name);
      this.draw();
      await this.list();
    } catch (err) {
      if (err.status !== 401) console.warn("the model can't be read again", err.message); // the next event tries again
    }
  }

  draw() {
    const m = this.m;
    const fact = (name, ...value) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value));
    replace(this.head,
      h("div.title", {}, h("div", {}, h("h1", {}, m.name), h("p.sub", {}, h("span", {}, t("models.live"), " ", h("strong", {}, m.live)),
        h("a", { href: `${path(m.name)}/plan` }, t("nav.plan")), h("a", { href: `${path(m.name)}/audit` }, t("nav.audit")))), modelButtons(m)),
      m.current && h("ul.models", {}, row(m)),
      h("section.card", {}, h("dl.facts", {},
        fact(t("model.versions"), m.versions?.join(", ")),
        fact(t("model.traffic"), m.traffic?.requestsPerSecond > 0 ? t("models.traffic", { n: number(m.traffic.requestsPerSecond) }) : t("models.noTraffic")),
        fact(t("model.applied"), time(m.applied), m.by && h("span.faint", {}, ` ${m.by}`)),
        fact(t("model.file"), h("code", { title: m.hash }, m.hash?.slice(0, 12)), m.fileLive !== m.live && h("span.faint", {}, ` ${t("model.fileLive", { live: m.fileLive })}`)))));
  }

  async list() {
    this.pages?.end();
    let fresh = true;
    this.pages = new Pages([(after) => api.releases(this.m.name, { limit: PAGE, order: "desc", after, phase: this.group.value })], (items) => {
      if (fresh) this.body.replaceChildren();
      fresh = false;
      this.body.append(...items.map((r) => this.row(r)));
    });
    const mine = this.pages;
    await mine.load();
    if (mine === this.pages) replace(this.below, mine.box, this.body.childElementCount === 0 && h("p.faint", {}, t("model.none")));
  }

  row(r) {
    const cell = (key, ...children) => h("td", { "data-label": t(`model.${key}`) }, children);
    return h("tr", {},
      cell("release", h("a", { href: `${path(r.model)}/releases/${r.number}` }, t("models.release", { n: r.number }))),
      cell("versions", h("span.nowrap", {}, r.live, " → ", h("strong", {}, r.candidate))),
      cell("outcome", phaseChip(r.phase)), cell("began", h("span.nowrap", {}, time(r.created))), cell("took", h("span.nowrap", {}, duration(r.durationSeconds))),
      cell("served", count(r.candidateExposures)), h("td.of-reason", { "data-label": t("model.why") }, brief(ended(r.phase) ? r.reason : r.explain?.summary ?? r.reason)));
  }
}
