// The page of one release: where it is, why, what comes next, what the data say, what was decided.
import { h, replace, toast } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { listen } from "./state.js";
import { ended, phaseChip, way } from "./draw.js";
import { ShareChart } from "./chart.js";
import { Evidence } from "./evidence.js";
import { buttons } from "./act.js";
import { decisionTable } from "./decisions.js";
import { reportSection } from "./report.js";
import { count, duration, percent, time } from "./format.js";

export async function releasePage(name, n) {
  const [release, model, list] = await Promise.all([api.release(name, n), api.model(name), api.releases(name)]);
  return new ReleasePage(release, model, list.items).page();
}

// brief leaves out what stands in brackets at the end of a long sentence: the numbers of a verdict, which
// are in its row below.
const brief = (text) => (text.length > 110 ? text.replace(/ \([A-Za-z]+: .*\)$/s, "") : text);

class ReleasePage {
  constructor(release, model, list) {
    this.r = release;
    this.model = model;
    this.list = list;
    this.shares = new ShareChart();
    this.evidence = new Evidence();
    this.report = reportSection();
    this.top = h("div");
    this.bottom = h("div");
    this.pending = 0;
    this.loading = false;
  }

  page() {
    const silence = listen((event) => this.see(event));
    this.draw();
    const chart = h("section.card", {}, h("h2", {}, t("release.shares")), this.shares.box, h("p.faint.small", {}, t("release.sharesWhat")));
    return {
      title: `${this.r.model} ${this.r.number}`, nodes: [this.top, chart, this.evidence.box, this.bottom],
      shown: () => this.shares.show(this.r),
      end: () => { silence(); clearTimeout(this.pending); this.shares.end(); this.evidence.end(); },
    };
  }

  // see takes an event of the stream. What it leaves out (decisions, strata, the file) stays from the
  // last full answer, which is asked for again when there is a new decision.
  see(event) {
    const next = event?.release;
    if (!next || next.model !== this.r.model || next.number < this.r.number) return;
    if (next.number > this.r.number) {
      if (!this.list.some((r) => r.number === next.number)) this.reload();
      return;
    }
    const moved = next.decisionCount !== this.r.decisionCount;
    const { decisions, strata, baseline, spec } = this.r;
    this.r = { decisions, strata, baseline, spec, ...next };
    if (moved) this.reload();
    this.later();
  }

  async reload() {
    if (this.loading) return;
    this.loading = true;
    try {
      const before = this.r;
      [this.r, this.model] = await Promise.all([api.release(before.model, before.number), api.model(before.model)]);
      this.list = (await api.releases(before.model)).items;
      if (before.phase !== this.r.phase) toast(`${this.r.model}: ${word("phase", this.r.phase)}`, this.r.phase === "RolledBack");
      this.later();
    } catch (err) {
      if (err.status !== 401) toast(err.message, true);
    } finally {
      this.loading = false;
    }
  }

  // later draws at most once a second, and not while somebody marks text or answers a dialog.
  later() {
    if (this.pending) return;
    this.pending = setTimeout(() => {
      this.pending = 0;
      if (!getSelection().isCollapsed || document.querySelector("dialog[open]")) this.later();
      else this.draw();
    }, 1000);
  }

  draw() {
    const r = this.r;
    replace(this.top, this.head(), h("section.card", {}, way(r), this.why()));
    if (this.shares.box.isConnected) this.shares.show(r);
    this.evidence.show(r);
    this.report.show(r);
    replace(this.bottom, this.facts(), this.report.box, decisionTable(r.decisions ?? []), this.others());
  }

  head() {
    const r = this.r;
    const path = `#/models/${encodeURIComponent(r.model)}`;
    return [
      h("p.crumbs", {}, h("a", { href: "#/" }, t("nav.models")), " / ", r.model, " / ", t("models.release", { n: r.number })),
      h("div.title", {},
        h("div", {}, h("h1", {}, r.model, " ", h("span.faint", {}, r.live, " → "), r.candidate),
          h("p.sub", {}, phaseChip(r.phase), h("span", {}, t("release.serves", { share: r.share })),
            h("span.faint", {}, t("release.since", { time: time(r.created), duration: duration(r.durationSeconds) })),
            h("a", { href: `${path}/audit` }, t("audit.head")))),
        buttons(r, this.model, (next) => { this.r = { ...this.r, ...next }; this.reload(); })),
    ];
  }

  // why says in words what holds it, what follows, and what would take it back.
  why() {
    const r = this.r;
    if (ended(r.phase)) return h("div.why-box", {}, h("h2", {}, t("release.ended")), h("p", {}, r.reason));
    const e = r.explain ?? {};
    const list = (items) => h("ul", {}, items.map((text) => h("li", { title: text }, brief(text))));
    return h("div.why-box", {},
      h("p.lead", { title: e.summary }, brief(e.summary ?? "")),
      h("div.columns", {},
        h("div", {}, h("h3", {}, t("release.waits")), e.waiting?.length ? list(e.waiting) : h("p", {}, t("release.waitsNothing")),
          this.forecast(), e.next && h("p", {}, h("strong", {}, t("release.next")), " ", e.next), e.deadline && h("p.faint", {}, e.deadline)),
        h("div", {}, h("h3", {}, t("release.withdraw")), e.withdraw?.length ? list(e.withdraw) : h("p", {}, t("release.withdrawNothing")))));
  }

  // forecast is the longest of what the verdicts still need, at the present rate.
  forecast() {
    const seconds = (this.r.verdicts ?? []).map((v) => v.needs?.seconds ?? 0).reduce((a, b) => Math.max(a, b), 0);
    return seconds > 0 && h("p", {}, h("strong", {}, t("release.forecast")), " ", t("release.about", { duration: duration(seconds) }));
  }

  facts() {
    const r = this.r;
    const ratio = r.ratio;
    const fact = (name, value, note) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value, note && h("span.faint", {}, note)));
    const units = ratio?.units ?? [];
    const total = units.reduce((a, b) => a + b, 0);
    const tone = ratio?.alarm ? "bad" : ratio?.warn ? "wait" : "good";
    return h("section.card", {}, h("h2", {}, t("release.facts")), h("dl.facts", {},
      fact(t("release.candidateRequests"), count(r.candidateExposures)),
      r.exposures?.length > 1 && fact(t("release.stepRequests"), `${count(r.exposures[1])} / ${count(r.exposures[0])}`, ` ${t("release.candidateLive")}`),
      r.pairs > 0 && fact(t("release.pairs"), count(r.pairs), ` ${t("release.scored", { n: count(r.scored) })}`),
      total > 0 && fact(t("release.ratio"),
        h(`span.chip.${tone}`, {}, t(`ratio.${tone}`)),
        ` ${units.map((n, arm) => `${arm === 0 ? r.live : r.candidate} ${count(n)} (${percent(n / total)}, ${t("ratio.expected")} ${percent(ratio.expected?.[arm])})`).join(" · ")}`),
      ratio?.reason && total > 0 && fact(t("ratio.reason"), ratio.reason),
      fact(t("release.decisions"), count(r.decisionCount)),
      fact(t("release.file"), h("code", { title: r.specHash }, r.specHash.slice(0, 12)))));
  }

  others() {
    if (this.list.length < 2) return null;
    const newest = [...this.list].sort((a, b) => b.number - a.number).slice(0, 50);
    return h("section.card", {}, h("h2", {}, t("release.others")), h("ul.others", {}, newest.map((o) =>
      h("li", {}, h("a", { href: `#/models/${encodeURIComponent(o.model)}/releases/${o.number}`, "aria-current": o.number === this.r.number ? "page" : null },
        t("models.release", { n: o.number }), " ", o.candidate), phaseChip(o.phase), h("span.faint", {}, time(o.created))))));
  }
}
