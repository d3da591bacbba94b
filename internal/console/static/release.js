// The page of one release: where it is, why, what comes next, what the data say, what was decided.
import { h, replace, toast } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { listen } from "./state.js";
import { phaseChip, way } from "./draw.js";
import { LineChart } from "./chart.js";
import { why } from "./gate.js";
import { History } from "./history.js";
import { Evidence } from "./evidence.js";
import { Pictures } from "./pictures.js";
import { checks } from "./checks.js";
import { buttons } from "./act.js";
import { decisionTable } from "./decisions.js";
import { reportSection } from "./report.js";
import { watch } from "./watch.js";
import { duration, share, time } from "./format.js";

const WATCH = 60000; // ms between looks at the standing watch, whose windows last ten minutes
const EVIDENCE = 10000; // ms between looks at the pictures, which cost the server more than the state

export async function releasePage(name, n) {
  const [release, model] = await Promise.all([api.release(name, n), api.model(name)]);
  const page = new ReleasePage(release, model);
  return page.page();
}

class ReleasePage {
  constructor(release, model) {
    this.r = release;
    this.model = model;
    this.history = new History(release.model, release.number);
    this.shares = shareChart(() => this.history.series?.decisions ?? this.r.decisions ?? []);
    this.evidence = new Evidence(this.history);
    this.pictures = new Pictures();
    this.report = reportSection();
    this.top = h("div.release-top");
    this.way = h("section.card");
    this.checks = h("section.card", { id: "checks" });
    this.watch = h("section.card", { id: "watch", hidden: true });
    this.bottom = h("div", { id: "decisions" });
    this.pending = 0;
  }

  page() {
    const silence = listen((event) => this.see(event));
    this.draw();
    this.look();
    this.watching = setInterval(() => this.r.watch?.watching && this.reload(), WATCH);
    const chart = h("section.card", { id: "shares" }, h("h2", {}, t("release.shares")), this.shares.box);
    return {
      title: `${this.r.model} ${this.r.number}`,
      nodes: [this.crumbs(), this.top, this.way, this.watch, this.jump(), chart, this.evidence.box, this.pictures.boxes, this.checks, this.report.box, this.bottom],
      shown: () => this.drawShares(),
      end: () => {
        silence();
        this.ended = true;
        clearTimeout(this.pending);
        clearTimeout(this.next);
        clearInterval(this.watching);
        for (const part of [this.shares, this.evidence, this.pictures]) part.end();
      },
    };
  }

  // look reads the series and the pictures of the sums: at once, then while the release runs.
  async look() {
    clearTimeout(this.next);
    const [, pictures] = await Promise.all([this.history.load(), api.evidence(this.r.model, this.r.number).catch((err) => ({ available: false, why: err.message }))]).catch(() => [null, null]);
    if (this.ended || !pictures) return;
    this.sums = pictures;
    this.draw();
    if (!this.r.ended) this.next = setTimeout(() => this.look(), EVIDENCE);
  }

  // see takes an event of the stream. What it leaves out (decisions, strata, the file) stays from the
  // last full answer, which is asked for again when there is a new decision.
  see(event) {
    const next = event?.release;
    if (!next || next.model !== this.r.model || next.number < this.r.number) return;
    if (next.number > this.r.number) {
      if (this.model.last < next.number) this.reload();
      return;
    }
    const moved = next.decisionCount !== this.r.decisionCount;
    const { decisions, strata, baseline, spec, watch } = this.r;
    this.r = { decisions, strata, baseline, spec, watch, ...next };
    if (this.history.see(this.r, Date.now() / 1000)) this.look();
    if (moved) this.reload();
    this.later();
  }

  async reload() {
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    try {
      const before = this.r;
      [this.r, this.model] = await Promise.all([api.release(before.model, before.number), api.model(before.model)]);
      if (before.phase !== this.r.phase) toast(`${this.r.model}: ${word("phase", this.r.phase)}`, this.r.phase === "RolledBack");
      this.look();
      this.later();
    } catch (err) {
      if (err.status !== 401) toast(err.message, true);
    } finally {
      this.loading = false;
      if (this.again) {
        this.again = false;
        this.reload();
      }
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
    replace(this.top, this.head());
    replace(this.way, way(r), why(r));
    this.watch.hidden = !r.watch;
    replace(this.watch, watch(r));
    if (this.shares.box.isConnected) this.drawShares();
    this.evidence.show(r, this.sums?.posteriors);
    if (this.drawn?.sums !== this.sums) this.pictures.show(r, this.sums);
    replace(this.checks, checks(r, this.sums));
    this.report.show(r);
    if (this.drawn?.decisions !== r.decisions) replace(this.bottom, decisionTable(r.decisions ?? [])); // else what is open stays open
    this.drawn = { sums: this.sums, decisions: r.decisions };
  }

  crumbs() {
    const r = this.r;
    const path = `#/models/${encodeURIComponent(r.model)}`;
    return h("p.crumbs", {}, h("a", { href: "#/" }, t("nav.models")), " / ", h("a", { href: path }, r.model), " / ", t("models.release", { n: r.number }));
  }

  head() {
    const r = this.r;
    const path = `#/models/${encodeURIComponent(r.model)}`;
    return h("div.title", {},
      h("div", {}, h("h1", {}, r.model, " ", h("span.faint", {}, r.live, " → "), r.candidate),
        h("p.sub", {}, phaseChip(r.phase), h("span", {}, t("release.serves", { share: r.share })),
          h("span.faint", {}, t("release.since", { time: time(r.created), duration: duration(r.durationSeconds) })),
          h("a", { href: `${path}/audit?release=${r.number}` }, t("audit.head")), h("a", { href: `${path}/plan` }, t("nav.plan")),
          this.model.last > r.number && h("a", { href: `${path}/releases/latest` }, t("release.latest", { n: this.model.last })))),
      buttons(() => this.r, this.model, (next) => { this.r = { ...this.r, ...next }; this.reload(); }));
  }

  // jump leads to the parts of a long page. The address stays: it names the page.
  jump() {
    const to = (id, key) => h("button.quiet.small", { type: "button", onclick: () => document.getElementById(id)?.scrollIntoView({ block: "start" }) }, t(key));
    return h("nav.jump", { "aria-label": t("release.parts") }, to("shares", "release.shares"), to("evidence", "evidence.head"), to("latency", "latency.head"), to("categories", "category.head"),
      to("segments", "segments.head"), to("checks", "release.facts"), to("report", "test.head"), to("decisions", "decisions.head"));
  }

  drawShares() {
    const r = this.r;
    const steps = this.history.series?.shares?.length ? this.history.series.shares.map((s) => [s.time, s.serving ? share(s.share) : 0, share(s.mirror)])
      : (r.strata ?? []).map((s) => [s.opened, s.kind === SERVE ? share(s.shares?.[1]) : 0, share(s.mirror)]);
    if (steps.length === 0) return;
    const xs = steps.map(([at]) => Date.parse(at) / 1000), users = steps.map(([, x]) => x), copies = steps.map(([, , x]) => x);
    const end = r.ended ? Date.parse(r.ended) : Date.now();
    xs.push(Math.max(xs.at(-1) + 1, end / 1000));
    users.push(r.ended ? users.at(-1) : share(r.share));
    copies.push(r.ended ? 0 : copies.at(-1));
    this.shares.label(`${t("release.shares")}: ${users.filter((x, i) => i === 0 || x !== users[i - 1]).map((x) => `${x} %`).join(", ")}`);
    this.shares.show([xs, users, copies], t("release.sharesWhat"));
  }
}

// SERVE is the kind of a stratum in which the candidate answers users. In the others live answers all of
// them, and the shares say only who would be on which side.
const SERVE = 0;
const marked = { rollback: "--bad", stop: "--bad", pause: "--wait", advance: "--good", finish: "--good", resume: "--accent", undo: "--wait" };

function shareChart(decisions) {
  return new LineChart(170, t("release.shares"), {
    x: "time", ys: (y) => (y > 100 ? "" : `${y} %`), ySize: 50, range: () => [0, 105],
    series: [{ label: t("release.users"), color: "--accent", fill: "--accent-soft", step: true }, { label: t("release.copies"), color: "--wait", width: 1.5, dash: [5, 4], step: true }],
    marks: () => decisions().filter((d) => marked[d.what]).map((d) => ({ x: Date.parse(d.time) / 1000, color: marked[d.what], width: 1, dash: [2, 3] })),
  });
}
