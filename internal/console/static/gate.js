// Why a release is held: what would advance it and how near that is, and what would take it back.
import { h } from "./dom.js";
import { t, word } from "./i18n.js";
import { ended, meter, verdictTone } from "./draw.js";
import { deadlineWords, lead, nextWords, said } from "./words.js";
import { count, duration } from "./format.js";

const NS = 1e9;
const DEFAULT_ALPHA = 0.05;

// bar is the ln e-value at which something is shown: ln(1/alpha) of the whole release.
const bar = (r) => -Math.log(r.spec?.spec?.plan?.alpha || DEFAULT_ALPHA);
const present = (r) => r.spec?.spec?.plan?.steps?.[r.step];

export function why(r) {
  if (ended(r.phase)) return h("div.why-box", {}, h("h2", {}, t("release.ended")), h("p", {}, r.reason));
  const next = nextWords(r), deadline = deadlineWords(r);
  return h("div.why-box", {},
    h("p.lead", { id: "lead" }, lead(r)),
    h("div.columns", {},
      h("div", {}, h("h2.minor", {}, t("release.waits")), advance(r), forecast(r), next && h("p", {}, h("strong", {}, t("release.next")), " ", next), deadline && h("p.faint", {}, deadline)),
      h("div", {}, h("h2.minor", {}, t("release.withdraw")), withdraw(r))));
}

// advance lists what the present step asks for, each with how much of it is there. What has no figure
// (a person, a gateway that lags) is said in words.
function advance(r) {
  const step = r.steps?.[r.step] ?? {};
  const rows = [];
  if (step.hold > 0) rows.push(line(t("gate.time"), step.served / step.hold, "good", t("step.of", { a: duration(step.served / NS), b: duration(step.hold / NS) })));
  const pairs = present(r)?.shadow?.until?.pairs;
  if (step.kind === "shadow" && pairs > 0) {
    rows.push(line(t("gate.pairs"), r.pairs / pairs, "good", t("step.of", { a: count(r.pairs), b: count(pairs) })));
    if (r.spec?.spec?.metrics?.some((m) => m.source?.startsWith?.("agree("))) rows.push(line(t("gate.scored"), r.scored / pairs, "good", t("step.of", { a: count(r.scored), b: count(pairs) })));
  }
  const better = present(r)?.abTest?.goal === "better";
  const gated = step.kind === "abTest" || step.kind === "canary";
  const shown = (v) => (better && v.role === "objective" ? v.better : v.noWorse || v.better);
  for (const v of gated ? deciding(r) : []) {
    const ln = better && v.role === "objective" ? v.lnBetter : v.lnNoWorse;
    rows.push(line(v.metric, shown(v) ? 1 : ln / bar(r), "good", shown(v) ? word("verdict", v.state) : t("gate.evidence", { n: percent(ln / bar(r)) })));
  }
  const covered = /: (no worse|better) to be shown|^(hold|minimum|watch|pause): | of [\d,]+ pairs/;
  const words = (r.explain?.waiting ?? []).filter((w) => !(rows.length > 0 && covered.test(w)));
  if (rows.length === 0 && words.length === 0) return h("p", {}, t("release.waitsNothing"));
  return [rows.length > 0 && h("ul.gates", {}, rows), words.length > 0 && h("ul", {}, words.map((w) => h("li", { title: w }, said(w))))];
}

// withdraw lists what would take the candidate back, with the evidence for it so far.
function withdraw(r) {
  const kind = r.steps?.[r.step]?.kind;
  if (kind === "test") return h("p", {}, t("gate.test"));
  const metrics = deciding(r);
  if (metrics.length === 0) return r.explain?.withdraw?.length ? h("ul", {}, r.explain.withdraw.map((w) => h("li", {}, said(w)))) : h("p", {}, t("release.withdrawNothing"));
  const then = t(r.spec?.spec?.plan?.onHarm === "pause" ? "gate.pauses" : "gate.rollsBack");
  return [h("ul.gates", {}, metrics.map((v) => line(v.metric, v.harm ? 1 : v.lnHarm / bar(r), "bad",
    v.harm ? t("gate.harm") : t("gate.worse", { tolerate: v.tolerate || "0", n: percent(v.lnHarm / bar(r)) })))), h("p.faint", {}, then)];
}

const deciding = (r) => (r.verdicts ?? []).filter((v) => v.role !== "watch");
const percent = (part) => `${Math.round(100 * Math.max(0, Math.min(1, part || 0)))} %`;
const line = (name, part, kind, words) => h("li", {}, h("span.gate-name", {}, name), meter(part || 0, kind, name), h("span.small.faint", {}, words));

// forecast is the longest of what the verdicts still need, at the present rate, and of the time to hold.
function forecast(r) {
  const step = r.steps?.[r.step] ?? {};
  const needs = deciding(r).filter((v) => verdictTone(v.state) === "wait").map((v) => v.needs?.seconds ?? 0);
  const hold = step.hold > step.served ? (step.hold - step.served) / NS : 0;
  const seconds = Math.max(hold, ...needs, 0);
  return seconds > 0 && r.phase !== "Paused" && h("p", { id: "forecast" }, h("strong", {}, t("release.forecast")), " ", t("release.about", { duration: duration(seconds) }));
}
