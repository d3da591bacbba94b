// What the data say: one row per metric with its interval drawn against zero and margin, and the same
// over time on request.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import { history } from "./state.js";
import { interval, intervalWords, verdictChip, worse } from "./draw.js";
import { EvidenceChart } from "./chart.js";
import { count, value } from "./format.js";

export class Evidence {
  constructor() {
    this.box = h("section.card");
    this.rows = h("div.verdicts");
    this.charts = new Map(); // by metric and arm; those that are open
  }

  show(r) {
    const all = r.verdicts ?? [];
    const verdicts = [...all.filter((v) => v.state === "worse"), ...all.filter((v) => v.state !== "worse")]; // harm first
    replace(this.rows, verdicts.map((v) => this.row(r, v)));
    replace(this.box, h("h2", {}, t("evidence.head")),
      verdicts.length === 0 ? h("p.faint", {}, t("evidence.none")) : [this.rows, h("p.faint.small", {}, t("evidence.legend"))]);
    for (const [key, open] of this.charts) {
      const v = verdicts.find((x) => `${x.metric}/${x.arm}` === key);
      if (v) this.draw(r, v, open);
    }
  }

  row(r, v) {
    const metric = r.spec?.spec?.metrics?.find((m) => m.name === v.metric);
    const sign = worse(v.kind, metric);
    const key = `${v.metric}/${v.arm}`;
    const arm = (name, a) => h("div.arm", {}, h("span.faint", {}, name), h("strong", {}, armValue(v, a)), h("span.faint", {}, `n ${count(a.exposures)}`, v.kind === "category" && `, ${t("evidence.entropy")}`));
    const open = this.charts.get(key);
    return h(`article.verdict.is-${v.state}`, {},
      h("div.verdict-head", {}, h("h3", {}, v.metric), verdictChip(v), h("span.faint", {}, word("role", v.role)), v.margin && h("span.faint", {}, t("evidence.margin", { margin: v.margin }))),
      h("div.arms", {}, arm(`${r.live} (${t("evidence.live")})`, v.live), arm(r.candidate, v.candidate)),
      h("div.drawn", {}, interval(v, sign), h("span.small.faint", {}, intervalWords(v))),
      h("p.reason", {}, v.reason),
      v.warnings?.length > 0 && h("ul.warnings", {}, v.warnings.map((w) => h("li", {}, w))),
      h("button.quiet.small", {
        id: `time-${key}`, type: "button", "aria-expanded": open ? "true" : "false",
        onclick: () => { this.toggle(key, v); this.show(r); },
      }, open ? t("evidence.hide") : t("evidence.time")),
      open && h("div.over-time", {}, open.chart.box, open.note));
  }

  toggle(key, v) {
    const open = this.charts.get(key);
    if (open) {
      open.chart.end();
      this.charts.delete(key);
    } else {
      this.charts.set(key, { chart: new EvidenceChart(t("evidence.timeOf", { metric: v.metric })), note: h("p.faint.small") });
    }
  }

  draw(r, v, open) {
    const metric = r.spec?.spec?.metrics?.find((m) => m.name === v.metric);
    const drawn = open.chart.show(history(r, v), v, worse(v.kind, metric));
    open.note.textContent = t(drawn ? "evidence.timeWhat" : "evidence.timeNone");
  }

  end() {
    for (const { chart } of this.charts.values()) chart.end();
    this.charts.clear();
  }
}

// armValue is empty without observations: 0 would be a claim.
function armValue(v, arm) {
  return arm.exposures === 0 ? "–" : value(v.kind, arm.value);
}
