// What the data say: for each metric its verdict, both arms, the interval against zero and margin now and
// over time, the posterior, and the evidence in numbers.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import { interval, intervalWords, limits, verdictChip, verdictTone, worse } from "./draw.js";
import { LineChart } from "./chart.js";
import { sentence } from "./words.js";
import { chance, count, effect, number, percent, value } from "./format.js";

const key = (v) => `${v.metric}/${v.arm}`;

export class Evidence {
  constructor(history) {
    this.history = history;
    this.box = h("section.card", { id: "evidence" });
    this.body = h("div.verdicts");
    this.metrics = new Map(); // by metric and arm: MetricBox
    replace(this.box, h("h2", {}, t("evidence.head")), this.body, h("p.faint.small", {}, t("evidence.legend")));
  }

  // show draws the verdicts of a release; those that show harm first. posteriors are of the evidence.
  show(r, posteriors) {
    const all = r.verdicts ?? [];
    const order = [...all.filter((v) => v.state === "worse"), ...all.filter((v) => v.state !== "worse")];
    for (const [k, m] of this.metrics) {
      if (order.some((v) => key(v) === k)) continue;
      m.end();
      this.metrics.delete(k);
    }
    for (const v of order) if (!this.metrics.has(key(v))) this.metrics.set(key(v), new MetricBox());
    const wanted = order.map((v) => this.metrics.get(key(v)).box);
    const nodes = wanted.length > 0 ? wanted : [h("p.faint", {}, t("evidence.none"))];
    if (nodes.length !== this.body.children.length || nodes.some((n, i) => n !== this.body.children[i])) this.body.replaceChildren(...nodes);
    for (const v of order) this.metrics.get(key(v)).show(r, v, this.history, posteriors?.find((p) => key(p) === key(v)));
  }

  end() {
    for (const m of this.metrics.values()) m.end();
    this.metrics.clear();
  }
}

// MetricBox keeps its charts from one look at the data to the next.
class MetricBox {
  constructor() {
    this.top = h("div.verdict-top");
    this.over = h("div.over");
    this.more = h("div");
    this.details = h("details", {}, h("summary", {}, t("evidence.more")), this.more);
    this.details.addEventListener("toggle", () => { if (this.last) this.show(...this.last); });
    this.box = h("article.verdict", {}, this.top, this.over, this.details);
  }

  show(r, v, history, posterior) {
    this.last = [r, v, history, posterior];
    const metric = r.spec?.spec?.metrics?.find((m) => m.name === v.metric);
    this.sign = worse(v.kind, metric);
    this.v = v;
    this.lim = limits(v, this.sign);
    const several = (r.verdicts ?? []).some((x) => x.metric === v.metric && x.arm !== v.arm);
    this.box.className = `verdict is-${verdictTone(v.state)}`;
    this.box.id = `metric-${key(v)}`;
    replace(this.top, this.head(r, v, several));
    const h1 = history.of(v);
    this.draw(h1, history);
    this.believe(v, posterior);
    if (this.details.open) this.numbers(v, h1, posterior);
  }

  head(r, v, several) {
    const arm = (name, a, side) => h(`div.arm.${side}`, {}, h("span.small.faint", {}, name), h("strong", {}, a.exposures === 0 ? "–" : value(v.kind, a.value)), h("span.small.faint", {}, `n ${count(a.exposures)}`, v.kind === "category" && `, ${t("evidence.entropy")}`));
    return [
      h("div.verdict-head", {}, h("h3", {}, v.metric, several && ` · ${t("evidence.arm", { n: v.arm })}`), verdictChip(v),
        h("span.faint", {}, word("role", v.role)), v.margin && h("span.faint", {}, t("evidence.margin", { margin: v.margin }))),
      h("div.arms", {}, arm(`${r.live} (${t("evidence.live")})`, v.live, "is-live"), arm(r.candidate, v.candidate, "is-candidate"),
        h("div.drawn", {}, interval(v, this.sign), h("span.small.faint", {}, intervalWords(v)))),
      h("p.reason", {}, sentence(v)),
      v.warnings?.length > 0 && h("ul.warnings", {}, v.warnings.map((w) => h("li", {}, w))),
    ];
  }

  // draw brings the interval over time.
  draw(data, history) {
    const points = data.lo.filter((x) => x !== null).length;
    if (points < 2) {
      this.chart?.end();
      this.chart = null;
      replace(this.over, h("p.small.faint", {}, history.fault ? t("evidence.noSeries", { why: history.fault }) : t("evidence.timeNone")));
      return;
    }
    if (!this.chart) {
      this.chart = new LineChart(150, "", this.look());
      this.side = h("div");
      replace(this.over, this.chart.box, this.side);
    }
    this.view = frame(data, this.lim);
    this.chart.label(`${t("evidence.timeOf", { metric: this.v.metric })}: ${intervalWords(this.v)}`);
    this.chart.show([data.times, data.hi, data.lo, data.estimate], t("evidence.timeWhat"));
  }

  look() {
    const say = (x) => effect(this.v.unit, x);
    return {
      x: "time", ys: (y) => effect(this.v.unit === "pp" || this.v.unit === "bits" ? "" : this.v.unit, y), range: () => this.view,
      series: [{ label: t("evidence.hi"), color: "--accent-line", width: 1, say }, { label: t("evidence.lo"), color: "--accent-line", width: 1, say }, { label: t("evidence.estimate"), color: "--accent", say }],
      bands: [[1, 2, "--accent-soft"]],
      levels: () => [{ y: this.lim.zero, color: "--faint" }, this.lim.margin !== null && { y: this.lim.margin, color: "--bad", dash: [5, 4] }].filter(Boolean),
      shades: () => this.lim.margin === null || !this.sign ? [] : [{ from: this.lim.margin, to: this.sign > 0 ? Infinity : -Infinity, color: "--bad-soft" }],
    };
  }

  // believe draws the posterior beside it.
  believe(v, p) {
    if (!this.side) return;
    if (!p?.x?.length) {
      this.posterior?.end();
      this.posterior = null;
      replace(this.side, v.bayes && h("p.small.faint", {}, t("posterior.better", { p: chance(v.bayes.pBetter) })));
      return;
    }
    this.p = p;
    const m = marginOf(p, this.lim, v);
    if (!this.posterior) {
      this.posterior = new LineChart(150, "", {
        x: "number", xs: (x) => effect(p.unit === "pp" || p.unit === "bits" ? "" : p.unit, x), ys: () => "", ySize: 12, said: (x) => effect(this.p.unit, x),
        series: [{ color: "--candidate", fill: "--candidate-soft" }], range: () => [0, Math.max(...this.p.density) * 1.08],
        marks: () => [{ x: 0, color: "--faint" }, this.pm !== null && { x: this.pm, color: "--bad", dash: [5, 4] }].filter(Boolean),
        shades: () => this.pm === null || !this.sign ? [] : [{ from: this.pm, to: this.sign > 0 ? Infinity : -Infinity, color: "--bad-soft", across: true }],
      });
      replace(this.side, this.posterior.box);
    }
    this.pm = m;
    const words = t("posterior.words", { better: chance(p.pBetter), worse: chance(p.pWorseThanMargin) });
    this.posterior.label(`${t("posterior.head")}: ${words}`);
    this.posterior.show([p.x, p.density], words);
  }

  // numbers is what a statistician asks for.
  numbers(v, data, p) {
    const row = (name, ...cells) => cells[0] !== undefined && cells[0] !== null && h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, cells));
    const part = (x) => (data.bar ? `${number(x)} / ${number(data.bar)}` : number(x));
    if (!this.proof) {
      this.table = h("div");
      this.proof = new LineChart(140, t("evidence.proof"), {
        x: "time", ys: number, ySize: 46,
        series: [{ label: t("evidence.lnHarm"), color: "--bad" }, { label: t("evidence.lnNoWorse"), color: "--good" }, { label: t("evidence.lnBetter"), color: "--accent", dash: [4, 3] }],
        levels: () => (this.bar ? [{ y: this.bar, color: "--faint", dash: [5, 4] }] : []),
        range: (u, lo, hi) => [Math.min(0, lo ?? 0), Math.max(hi ?? 1, (this.bar ?? 1) * 1.15)],
      });
      replace(this.more, this.proof.box, this.table);
    }
    this.bar = data.bar;
    if (data.times.length > 1) this.proof.show([data.times, data.lnHarm, data.lnNoWorse, data.lnBetter], t("evidence.proofWhat"));
    this.proof.box.hidden = data.times.length < 2;
    replace(this.table, h("div.scroll", { tabindex: 0, role: "region", "aria-label": `${t("evidence.more")}: ${v.metric}` }, h("table.numbers", {}, h("tbody", {},
      row(t("numbers.estimate"), effect(v.unit, v.estimate)), row(t("numbers.interval"), intervalWords(v)), row(t("numbers.alpha"), number(v.alpha)),
      row(t("evidence.lnHarm"), part(v.lnHarm)), row(t("evidence.lnNoWorse"), part(v.lnNoWorse)), row(t("evidence.lnBetter"), part(v.lnBetter)),
      row(t("numbers.units"), `${count(v.live.units)} / ${count(v.candidate.units)}`), row(t("numbers.kEff"), `${number(v.live.kEff)} / ${number(v.candidate.kEff)}`),
      v.tolerate && row(t("numbers.tolerate"), v.tolerate), v.adjusted && row(t("numbers.adjusted"), percent(v.adjusted.saved)),
      v.needs?.text && row(t("numbers.needs"), v.needs.text),
      v.bayes && row(t("posterior.pBetter"), chance(v.bayes.pBetter)), p && row(t("posterior.pWorse"), chance(p.pWorseThanMargin)), p && row(t("posterior.pWithin"), chance(p.pWithinMargin)),
      v.bayes && row(t("posterior.loss"), `${effect(v.unit === "x" ? "" : v.unit, v.bayes.lossAdopt).replace("+", "")} / ${effect(v.unit === "x" ? "" : v.unit, v.bayes.lossKeep).replace("+", "")}`)))),
    v.bayes && h("p.small.faint", {}, t("posterior.warning")));
  }

  end() {
    for (const c of [this.chart, this.posterior, this.proof]) c?.end();
  }
}

// marginOf is the margin on the posterior's scale, where zero is no difference.
function marginOf(p, lim, v) {
  if (lim.margin === null) return null;
  return v.unit === p.unit ? lim.margin - (v.unit === "x" ? 0 : lim.zero) : null;
}

// frame is the part of y that is worth looking at: all of the later intervals, zero and the margin. The
// first intervals are often wider by orders of magnitude.
function frame(data, lim) {
  const late = data.lo.map((lo, i) => [lo, data.hi[i]]).filter(([lo]) => lo !== null);
  const kept = late.slice(Math.floor(late.length / 5));
  let lo = Math.min(lim.zero, ...kept.map(([x]) => x), lim.margin ?? lim.zero), hi = Math.max(lim.zero, ...kept.map(([, x]) => x), lim.margin ?? lim.zero);
  const [lastLo, lastHi] = late.at(-1);
  const most = 8 * Math.max(lastHi - lastLo, Math.abs((lim.margin ?? lim.zero) - lim.zero));
  lo = Math.max(lo, Math.min(lim.zero, lastLo) - most);
  hi = Math.min(hi, Math.max(lim.zero, lastHi) + most);
  const gap = (hi - lo || 1) * 0.06;
  return [lo - gap, hi + gap];
}
