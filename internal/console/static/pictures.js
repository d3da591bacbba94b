// Pictures of the sums behind the verdicts: latency of both arms, categories, segments.
import { h, replace } from "./dom.js";
import { t } from "./i18n.js";
import { LineChart } from "./chart.js";
import { count, effect, number, percent, value } from "./format.js";

const key = (p) => `${p.metric}/${p.arm}`;
const table = (label, head, rows) => h("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, h("table.numbers", {},
  h("thead", {}, h("tr", {}, head.map((text) => (text ? h("th", { scope: "col" }, text) : h("td"))))), h("tbody", {}, rows)));
const range = (unit, s) => (s?.level ? `${effect(unit, s.lo)} … ${effect(unit, s.hi)}` : "");

export class Pictures {
  constructor() {
    this.charts = new Map(); // by metric and arm
    this.latency = h("section.card", { id: "latency", hidden: true });
    this.category = h("section.card", { id: "categories", hidden: true });
    this.segments = h("section.card", { id: "segments", hidden: true });
    this.boxes = [this.latency, this.category, this.segments];
  }

  show(r, e) {
    this.latencies(r, e?.latencies ?? []);
    this.categories(r, e?.categories ?? []);
    this.segmented(r, e?.segments ?? []);
  }

  latencies(r, all) {
    this.latency.hidden = all.length === 0;
    replace(this.latency, h("h2", {}, t("latency.head")), all.map((p) => {
      if (!this.charts.has(key(p))) this.charts.set(key(p), histogram(r));
      const chart = this.charts.get(key(p));
      const side = (counts, n) => [...counts.map((c) => (n > 0 ? c / n : 0)), 0];
      queueMicrotask(() => chart.show([p.edgesMs, side(p.live, p.liveN), side(p.candidate, p.candidateN)], t("latency.what")));
      chart.label(`${t("latency.head")}: ${p.metric}. ${(p.quantiles ?? []).map((q) => `p${number(100 * q.quantile)} ${number(q.live?.estimate)} / ${number(q.candidate?.estimate)} ms`).join(", ")}`);
      return h("div.picture", {}, h("h3", {}, p.metric, " ", fromWords(p)), h("div.picture-sides", {}, chart.box, table(t("latency.quantiles"),
        [t("latency.quantile"), `${r.live} (${t("evidence.live")})`, r.candidate, t("latency.ratio"), t("numbers.interval")],
        (p.quantiles ?? []).map((q) => h("tr", {}, h("th", { scope: "row" }, `p${number(100 * q.quantile)}`), h("td", {}, value("latency", q.live?.estimate)), h("td", {}, value("latency", q.candidate?.estimate)),
          h("td", {}, effect("x", q.ratio?.estimate)), h("td.faint", {}, range("x", q.ratio)))))));
    }));
  }

  categories(r, all) {
    this.category.hidden = all.length === 0;
    replace(this.category, h("h2", {}, t("category.head")), all.map((p) => h("div.picture", {}, h("h3", {}, p.metric, " ", fromWords(p)),
      h("div.picture-sides", {}, bars(r, p), table(t("category.measures"), ["", `${r.live} (${t("evidence.live")})`, r.candidate, t("category.difference")], [
        h("tr", {}, h("th", { scope: "row" }, t("category.entropy")), h("td", {}, bits(p.liveEntropy?.millerMadow)), h("td", {}, bits(p.candidateEntropy?.millerMadow)),
          h("td", {}, effect("bits", (p.candidateEntropy?.millerMadow ?? NaN) - (p.liveEntropy?.millerMadow ?? NaN)))),
        h("tr", {}, h("th", { scope: "row" }, t("category.classes")), h("td", {}, number(p.liveEntropy?.classes)), h("td", {}, number(p.candidateEntropy?.classes)), h("td")),
        h("tr", {}, h("th", { scope: "row" }, t("category.divergence")), h("td", { colspan: 2 }, bits(p.divergence?.estimate), " ", h("span.faint", {}, p.divergence?.level ? t("category.interval", { lo: number(p.divergence.lo), hi: number(p.divergence.hi), level: number(100 * p.divergence.level) }) : t("interval.none"))),
          h("td", {}, p.margin > 0 ? t("evidence.margin", { margin: bits(p.margin) }) : "")),
      ])))), all.length > 0 && h("p.small.faint", {}, t("category.what")));
  }

  segmented(r, all) {
    this.segments.hidden = all.length === 0;
    if (all.length === 0) return;
    const metrics = [...new Set(all.flatMap((s) => s.metrics.map((m) => m.metric)))];
    const kinds = new Map((r.verdicts ?? []).map((v) => [v.metric, v.kind]));
    const several = new Set(all.map((s) => s.arm)).size > 1;
    const cell = (m) => {
      if (!m) return h("td");
      const d = m.difference;
      const show = (x) => value(kinds.get(m.metric), x);
      return h(`td${m.flagged ? ".flagged" : ""}`, {}, h("span.nowrap", {}, `${show(m.live)} → ${show(m.candidate)}`), h("br"),
        h("span.small.faint.nowrap", {}, d?.level ? `${effect(m.unit, d.estimate)} (${range(m.unit, d)})` : `n ${count(m.liveN)} / ${count(m.candidateN)}`),
        m.flagged && h("span.chip.wait", {}, t("segments.flagged")));
    };
    replace(this.segments, h("h2", {}, t("segments.head")), table(t("segments.head"),
      [t("segments.segment"), t("segments.value"), several && t("segments.arm"), t("segments.n"), ...metrics].filter((x) => x !== false),
      all.map((s) => h("tr", {}, h("td", {}, s.segment), h("th", { scope: "row" }, s.value === "" ? "–" : s.value), several && h("td", {}, s.arm),
        h("td.nowrap", {}, `${count(s.liveExposures)} / ${count(s.candidateExposures)}`), metrics.map((name) => cell(s.metrics.find((m) => m.metric === name)))))),
    h("p.small.faint", {}, t("segments.what")));
  }

  end() {
    for (const c of this.charts.values()) c.end();
    this.charts.clear();
  }
}

const bits = (x) => (Number.isFinite(x) ? `${number(x)} ${t("unit.bits")}` : "–");

const fromWords = (p) => (p.from === "pairs" ? h("span.faint.small", {}, t("from.pairs")) : null);

function histogram(r) {
  return new LineChart(190, "", {
    x: "log", xs: (x) => `${number(x)} ms`, ys: percent, ySize: 48, said: (x) => `> ${number(x)} ms`,
    series: [{ label: r.live, color: "--live", fill: "--live-soft", step: true }, { label: r.candidate, color: "--candidate", fill: "--candidate-soft", step: true }],
    range: (u, lo, hi) => [0, (hi || 0.1) * 1.08],
  });
}

// bars draws the shares of the answers, both arms under each other.
function bars(r, p) {
  const most = Math.max(...p.live.map((c) => c / (p.liveN || 1)), ...p.candidate.map((c) => c / (p.candidateN || 1)), 1e-9);
  const bar = (side, part, n) => h("div.bar", {}, h(`span.fill.is-${side}`, { style: { width: `${(100 * part) / most}%` } }), h("span.small", {}, percent(part), ` · ${count(n)}`));
  return h("div", {}, h("p.small", {}, h("span.key.is-live"), ` ${r.live} (${t("evidence.live")}) `, h("span.key.is-candidate"), ` ${r.candidate}`),
    h("dl.bars", {}, p.classes.map((name, i) => (p.live[i] + p.candidate[i] === 0 ? null : [h("dt", {}, name),
      h("dd", {}, bar("live", p.live[i] / (p.liveN || 1), p.live[i]), bar("candidate", p.candidate[i] / (p.candidateN || 1), p.candidate[i]))]))));
}
