// The plan page: how a plan behaves before anybody is exposed. The server plays whole releases on
// synthetic traffic, with the judge and the rules of real ones, over a range of true effects of one
// metric; sliders choose the effect that is looked at, and the traffic.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { LineChart } from "./chart.js";
import { debounce } from "./list.js";
import { tone } from "./draw.js";
import { said } from "./words.js";
import { count, duration, number, percent } from "./format.js";

const FACTORS = [0.1, 0.2, 0.5, 1, 2, 5, 10]; // of the file's traffic
const MOST_USERS = 100000; // that the server simulates for a client
const TRIES = 6; // while the server is busy with another's question

export async function planPage(name) {
  const models = (await api.models({ limit: 500 })).items;
  const names = models.map((m) => m.name);
  if (name && !names.includes(name)) names.unshift(name);
  if (names.length === 0) return { title: t("plan.head"), nodes: [h("h1", {}, t("plan.head")), h("p", {}, t("models.empty"))] };
  const page = new PlanPage(names, await api.model(name || names[0]));
  return page.page();
}

class PlanPage {
  constructor(names, model) {
    this.model = model;
    const metrics = (model.spec?.spec?.metrics ?? []).filter((m) => m.role !== "watch");
    const option = (v, chosen) => h("option", { value: v, selected: v === chosen }, v);
    const later = debounce(500, () => this.sweep());
    this.who = h("select", { id: "plan-model", onchange: () => { location.hash = `#/models/${encodeURIComponent(this.who.value)}/plan`; } }, names.map((n) => option(n, model.name)));
    this.to = h("select", { id: "plan-to", onchange: later }, (model.versions ?? []).filter((v) => v !== model.live).map((v) => option(v)));
    const first = metrics.find((m) => m.role === "objective") ?? metrics[0];
    this.metric = h("select", { id: "plan-metric", onchange: later }, metrics.map((m) => option(m.name, first?.name)));
    this.runs = h("select", { id: "plan-runs", onchange: later }, [40, 100, 200].map((n) => option(n, 40)));
    this.traffic = h("input", { id: "plan-traffic", type: "range", min: 0, max: FACTORS.length - 1, step: 1, value: FACTORS.indexOf(1), oninput: () => { this.sayTraffic(); later(); } });
    this.effect = h("input", { id: "plan-effect", type: "range", min: 0, max: 0, step: 1, value: 0, disabled: true, oninput: () => { this.read(); this.endings(); } });
    this.trafficSaid = h("output", { for: "plan-traffic" });
    this.effectSaid = h("output", { for: "plan-effect" });
    this.state = h("p.faint", { role: "status", id: "plan-state" });
    this.figures = h("div");
    this.table = h("div");
    this.waits = h("div");
    this.endings = debounce(400, () => this.one());
    this.charts();
  }

  charts() {
    const x = { x: "number", xs: (v) => `${number(v)}`, said: (v) => t("plan.at", { n: number(v) }), marks: () => [{ x: 0, color: "--faint" }, { x: 1, color: "--bad", dash: [5, 4] }, this.point && { x: this.point.harm, color: "--accent", width: 2 }].filter(Boolean) };
    this.outcome = new LineChart(230, t("plan.outcomes"), { ...x, ys: percent, ySize: 50, range: () => [0, 1.02], series: [
      { label: t("plan.succeeded"), color: "--good", points: true, say: percent }, { label: t("plan.rolledBack"), color: "--bad", points: true, say: percent }, { label: t("plan.undecided"), color: "--wait", dash: [5, 4], points: true, say: percent }] });
    this.took = new LineChart(180, t("plan.durations"), { ...x, ys: duration, ySize: 84, range: (u, lo, hi) => [0, (hi || 1) * 1.1], series: [
      { label: t("plan.median"), color: "--accent", points: true }, { label: t("plan.p90"), color: "--accent-line", dash: [5, 4], points: true }] });
    this.exposed = new LineChart(180, t("plan.exposed"), { ...x, ys: count, ySize: 70, range: (u, lo, hi) => [0, (hi || 1) * 1.1], series: [{ label: t("plan.users"), color: "--candidate", points: true }] });
    this.ends = new LineChart(200, t("plan.ends"), { x: "number", xs: duration, xSpace: 110, ys: percent, ySize: 50, said: (s) => t("plan.after", { duration: duration(s) }), range: () => [0, 1.02], series: [
      { label: word("phase", "Succeeded"), color: "--good", step: true }, { label: word("phase", "RolledBack"), color: "--bad", step: true }, { label: t("plan.undecided"), color: "--wait", step: true, dash: [5, 4] }] });
  }

  page() {
    const field = (label, input, ...more) => h("div.field", {}, h("label", { for: input.id }, label), input, more);
    const card = (head, chart, what) => h("section.card", {}, h("h2", {}, head), chart.box, what && h("p.small.faint", {}, what));
    this.sayTraffic();
    return {
      title: `${t("plan.head")} ${this.model.name}`,
      nodes: [h("h1", {}, t("plan.head")), h("p.faint", {}, t("plan.what")),
        h("section.card", {}, h("div.plan-form", {}, field(t("plan.model"), this.who), field(t("plan.candidate"), this.to), field(t("plan.metric"), this.metric), field(t("plan.runs"), this.runs),
          field(t("plan.traffic"), this.traffic, this.trafficSaid), field(t("plan.effect"), this.effect, this.effectSaid)), this.state),
        h("section.card", {}, h("h2", {}, t("plan.here")), this.figures, this.waits),
        card(t("plan.outcomes"), this.outcome, t("plan.outcomesWhat")),
        h("div.halves", {}, card(t("plan.durations"), this.took), card(t("plan.exposed"), this.exposed)),
        card(t("plan.ends"), this.ends, t("plan.endsWhat")), h("section.card", {}, h("h2", {}, t("plan.table")), this.table)],
      shown: () => this.sweep(),
      end: () => {
        this.ended = true;
        this.abort?.abort();
        for (const c of [this.outcome, this.took, this.exposed, this.ends]) c.end();
      },
    };
  }

  factor() { return FACTORS[Number(this.traffic.value)]; }

  sayTraffic() {
    const f = this.factor();
    const base = this.base;
    this.trafficSaid.textContent = base ? t("plan.rate", { rate: number(base.rate * f), users: count(Math.min(MOST_USERS, base.users * f)) }) : `× ${f}`;
    this.traffic.setAttribute("aria-valuetext", this.trafficSaid.textContent);
  }

  // request of this plan, with the traffic of the slider; before the first answer the file's own.
  request() {
    const f = this.factor();
    const traffic = this.base ? { rate: this.base.rate * f, users: Math.max(2, Math.round(Math.min(MOST_USERS, this.base.users * f))) } : {};
    return { model: this.model.name, candidate: this.to.value || undefined, runs: Number(this.runs.value), ...traffic };
  }

  // ask waits its turn when the server is busy. A newer question ends this one.
  async ask(body) {
    this.abort?.abort();
    const mine = this.abort = new AbortController();
    for (let n = 1; ; n++) {
      try {
        return await api.simulate(body, mine.signal);
      } catch (err) {
        if (mine.signal.aborted || this.ended) return null;
        if (err.status !== 429 || n === TRIES) throw err;
        this.state.textContent = t("plan.busy");
        await new Promise((done) => { setTimeout(done, 1000 * Math.min(10, err.retryAfter ?? 3)); });
        if (mine.signal.aborted || this.ended) return null;
      }
    }
  }

  async sweep() {
    if (this.ended) return;
    this.state.textContent = t("plan.working");
    try {
      const report = (await this.ask({ ...this.request(), sweep: true, metric: this.metric.value || undefined }))?.curves;
      if (!report || this.ended) return;
      this.base ??= { rate: report.rate / this.factor(), users: report.users / this.factor() };
      this.report = report;
      this.sayTraffic();
      this.state.textContent = t(report.cut ? "plan.cut" : "plan.done", { runs: count(report.runs), metric: report.metric, margin: report.margin || "–" });
      this.curves();
      await this.one();
    } catch (err) {
      this.state.textContent = err.words ?? err.message;
    }
  }

  curves() {
    const points = this.report.points;
    const column = (name) => points.map((p) => p[name]);
    const xs = column("harm");
    const old = this.point?.effect;
    this.effect.max = points.length - 1;
    this.effect.disabled = points.length < 2;
    const at = points.findIndex((p) => p.effect === old);
    const middle = points.reduce((best, p, i) => (Math.abs(p.harm) < Math.abs(points[best].harm) ? i : best), 0);
    this.effect.value = at >= 0 ? at : middle;
    this.outcome.show([xs, column("succeeded"), column("rolledBack"), column("undecided")], t("plan.axis"));
    this.took.show([xs, column("medianDurationSeconds"), column("p90DurationSeconds")], t("plan.axis"));
    this.exposed.show([xs, column("medianExposedUsers")], t("plan.axis"));
    this.read();
    const head = ["effect", "harm", "succeeded", "rolledBack", "undecided", "error", "median", "p90", "users", "requests"];
    replace(this.table, h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("plan.table") }, h("table.numbers", {}, h("thead", {}, h("tr", {}, head.map((k) => h("th", { scope: "col" }, t(`plan.${k}`))))),
      h("tbody", {}, points.map((p) => h("tr", {}, h("th", { scope: "row" }, p.effect), [number(p.harm), percent(p.succeeded), percent(p.rolledBack), percent(p.undecided), p.standardError > 0 ? percent(p.standardError) : "–", duration(p.medianDurationSeconds), duration(p.p90DurationSeconds), count(p.medianExposedUsers), count(p.medianCandidateExposures)].map((x) => h("td.nowrap", {}, x))))))));
  }

  // read shows what the curves say at the slider's effect.
  read() {
    const p = this.point = this.report?.points[Number(this.effect.value)];
    if (!p) return;
    this.effectSaid.textContent = t("plan.effectIs", { effect: p.effect, harm: number(p.harm), metric: this.report.metric });
    this.effect.setAttribute("aria-valuetext", this.effectSaid.textContent);
    for (const c of [this.outcome, this.took, this.exposed]) c.redraw();
    const fact = (name, value, note, kind) => h("div.fact", {}, h("dt", {}, name), h(`dd.big${kind ? `.${kind}` : ""}`, {}, value, note && h("span.small.faint", {}, ` ${note}`)));
    replace(this.figures, h("dl.facts", {},
      fact(t("plan.succeeded"), percent(p.succeeded), p.standardError > 0 && t("plan.plusMinus", { n: percent(p.standardError) }), "good"), fact(t("plan.rolledBack"), percent(p.rolledBack), "", "bad"), fact(t("plan.undecided"), percent(p.undecided), "", "wait"),
      fact(t("plan.median"), duration(p.medianDurationSeconds)), fact(t("plan.p90"), duration(p.p90DurationSeconds)), fact(t("plan.users"), count(p.medianExposedUsers)), fact(t("plan.requests"), count(p.medianCandidateExposures))));
  }

  // one plays the slider's effect alone, to show when runs end.
  async one() {
    const p = this.point;
    if (!p || this.ended) return;
    try {
      const zero = /^[+-]?0(\.0*)?\D*$|^1(\.0*)?x$/.test(p.effect);
      const answer = await this.ask({ ...this.request(), truth: zero ? {} : { [this.report.metric]: p.effect } });
      if (!answer?.ends || this.ended) return;
      this.drawEnds(answer.ends);
      const waits = answer.report?.waits ?? [];
      replace(this.waits, waits.length > 0 && [h("h3.apart", {}, t("plan.waits")), h("ul", {}, waits.slice(0, 5).map((w) => h("li", {}, said(w.for), h("span.faint", {}, ` ${t("plan.waitRuns", { n: count(w.runs), of: count(answer.report.runs) })}`))))]);
    } catch (err) {
      this.state.textContent = err.words ?? err.message;
    }
  }

  drawEnds(ends) {
    const sorted = [...ends].sort((a, b) => a.seconds - b.seconds);
    const xs = [0], by = { good: [0], bad: [0], wait: [0] };
    for (const e of sorted) {
      const side = tone(e.phase) === "good" ? "good" : e.phase === "RolledBack" ? "bad" : "wait";
      if (e.seconds > xs.at(-1)) {
        xs.push(e.seconds);
        for (const list of Object.values(by)) list.push(list.at(-1));
      }
      by[side][by[side].length - 1] += 1 / sorted.length;
    }
    this.ends.show([xs, by.good, by.bad, by.wait], t("plan.endsOf", { effect: this.point.effect, runs: count(sorted.length) }));
  }
}
