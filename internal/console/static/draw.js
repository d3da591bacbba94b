// Drawings: the way of a release, shares, and intervals against zero and the margin.
import { h, s } from "./dom.js";
import { t, word } from "./i18n.js";
import { count, duration, effect, margin, share } from "./format.js";

const NS = 1e9; // the API's step times are nanoseconds

export const ended = (phase) => ["Succeeded", "RolledBack", "Stopped", "Undone"].includes(phase);

export function tone(phase) {
  if (phase === "Succeeded") return "good";
  if (phase === "RolledBack" || phase === "Stopped") return "bad";
  if (phase === "Paused" || phase === "Undone") return "wait";
  return "run";
}

export const phaseChip = (phase) => h(`span.chip.${tone(phase)}`, {}, word("phase", phase));

// fraction of what a step asks for that is there: the least of time and evidence.
function fraction(step) {
  const held = step.hold > 0 ? Math.min(1, step.served / step.hold) : 1;
  if (step.kind === "production" || step.kind === "pause") return step.hold > 0 ? held : 0;
  return Math.min(step.evidence, held);
}

function note(r, step) {
  if (step.place !== "now" || ended(r.phase)) return "";
  const parts = [];
  if (step.hold > 0) parts.push(t("step.of", { a: duration(step.served / NS), b: duration(step.hold / NS) }));
  else if (step.served > 0) parts.push(duration(step.served / NS));
  if (step.kind === "shadow") parts.push(t("step.pairs", { n: count(r.pairs) }));
  if (step.evidence > 0 && step.evidence < 1) parts.push(t("step.evidence", { n: Math.round(100 * step.evidence) }));
  return parts.join(", ");
}

// way draws the steps as a line on which the present one is alive.
export function way(r) {
  return h("ol.way", { "aria-label": t("release.way") }, (r.steps ?? []).map((step) => {
    const now = step.place === "now";
    const state = now ? (ended(r.phase) ? tone(r.phase) : r.phase === "Paused" ? "wait" : "run") : step.place;
    const shares = step.stages > 0 || step.kind === "production";
    const done = Math.round(100 * (step.place === "past" ? 1 : now ? fraction(step) : 0));
    return h(`li.${step.place}.is-${state}`, { "aria-current": now ? "step" : null },
      h("span.dot", { "aria-hidden": "true" }, step.place === "past" ? "✓" : state === "bad" ? "✕" : state === "wait" ? "‖" : String(step.step + 1)),
      h("span.step-name", {}, word("step", step.kind)),
      h("span.step-share", {}, shares ? step.share + (step.stages > 1 ? ` · ${step.stage}/${step.stages}` : "") : " "),
      now && !ended(r.phase) && h("progress", { max: 100, value: done, "aria-label": t("step.progress") }),
      h("span.step-note", {}, note(r, step)));
  }));
}

// tinyWay is the way in a row of a list.
export function tinyWay(r) {
  return h("span.tiny", { role: "img", "aria-label": t("models.step", { n: r.step + 1, of: r.steps.length }) }, (r.steps ?? []).map((step) => {
    const state = step.place === "now" ? (ended(r.phase) ? tone(r.phase) : r.phase === "Paused" ? "wait" : "run") : step.place;
    return h(`i.is-${state}`, { title: word("step", step.kind) });
  }));
}

// health counts what the metrics that decide say now.
export function health(r) {
  const tones = { bad: 0, wait: 0, good: 0 };
  for (const v of r.verdicts ?? []) if (v.role !== "watch") tones[verdictTone(v.state)]++;
  const marks = { bad: "✕", wait: "…", good: "✓" };
  return h("span.health", {}, Object.entries(tones).filter(([, n]) => n > 0)
    .map(([tone, n]) => h(`span.${tone}`, { role: "img", title: t(`health.${tone}`, { n }), "aria-label": t(`health.${tone}`, { n }) }, `${marks[tone]} ${n}`)));
}

// meter shows how near something is, 0 to 1.
export function meter(part, kind, label) {
  const percent = Math.round(100 * Math.max(0, Math.min(1, part)));
  return h(`span.meter.${kind}`, { role: "img", "aria-label": `${label}: ${percent} %` }, h("span.fill", { style: { width: `${percent}%` } }));
}

// shareBar shows how many of the users get the candidate.
export function shareBar(text) {
  return h("span.sharebar", { role: "img", "aria-label": t("share.of", { share: text }) },
    h("span.fill", { style: { width: `${Math.min(100, share(text))}%` } }));
}

// limits of a verdict on the scale of its interval: where no difference is, and where harm that is
// tolerated and the margin end. sign is +1 when larger is worse, -1 when smaller is, 0 when unknown.
export function limits(v, sign) {
  const zero = v.unit === "x" ? 1 : 0;
  const at = (text) => {
    const m = margin(text);
    if (!m || !sign || !(m.value > 0)) return null;
    if (v.unit !== "x") { // a part of live's own value, or a difference
      const size = m.unit === "%" ? (m.value / 100) * v.live.value * (v.unit === "pp" ? 100 : 1) : m.value;
      return zero + sign * size;
    }
    if (m.unit === "%") return 1 + (sign * m.value) / 100;
    const factor = Math.max(m.value, 1 / m.value);
    return sign > 0 ? factor : 1 / factor;
  };
  return { zero, margin: at(v.margin), tolerate: at(v.tolerate) };
}

// worse is the sign of the bad side.
export function worse(kind, metric) {
  if (kind === "category") return 1;
  const direction = metric?.direction || (kind === "latency" ? "lower" : "");
  return direction === "lower" ? 1 : direction === "higher" ? -1 : 0;
}

const W = 320, H = 46, PAD = 14, MID = 17;

// interval draws lo..hi and the estimate against zero and the margin; the bad side is shaded.
export function interval(v, sign) {
  const lim = limits(v, sign);
  const known = [...(v.level > 0 ? [v.lo, v.hi, v.estimate] : []), lim.zero, lim.margin].filter((x) => Number.isFinite(x));
  let lo = Math.min(...known), hi = Math.max(...known);
  const gap = (hi - lo || 1) * 0.12;
  lo -= gap; hi += gap;
  const x = (value) => PAD + ((value - lo) / (hi - lo)) * (W - 2 * PAD);
  const edge = lim.margin ?? lim.tolerate;
  const parts = [s("line.axis", { x1: 0, x2: W, y1: MID, y2: MID })];
  if (edge !== null) {
    const from = sign > 0 ? x(edge) : 0;
    parts.push(s("rect.harm", { x: from, y: 0, width: sign > 0 ? W - from : x(edge), height: H - 14 }),
      s("line.margin", { x1: x(edge), x2: x(edge), y1: 0, y2: H - 14 }));
  }
  parts.push(s("line.zero", { x1: x(lim.zero), x2: x(lim.zero), y1: 0, y2: H - 14 }));
  if (v.level > 0) parts.push(s(`rect.range.${verdictTone(v.state)}`, { x: x(v.lo), y: MID - 5, width: Math.max(2, x(v.hi) - x(v.lo)), height: 10, rx: 5 }));
  if (v.level > 0) parts.push(s("circle.point", { cx: x(v.estimate), cy: MID, r: 3.5 }));
  parts.push(axisLabels(v, lim, edge, x));
  return s("svg.interval", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": intervalWords(v) }, parts);
}

function axisLabels(v, lim, edge, x) {
  const clamp = (at) => Math.max(22, Math.min(W - 26, at));
  const zero = clamp(x(lim.zero));
  const labels = [s("text", { x: zero, y: H - 2 }, v.unit === "x" ? "1×" : "0")];
  if (edge !== null && Math.abs(clamp(x(edge)) - zero) > 34) {
    labels.push(s("text.margin-text", { x: clamp(x(edge)), y: H - 2 }, effect(v.unit, edge)));
  }
  return labels;
}

export function intervalWords(v) {
  if (!v.level) return t("interval.none");
  return t("interval.words", { lo: effect(v.unit, v.lo), hi: effect(v.unit, v.hi), level: Math.round(1000 * v.level) / 10 });
}

export function verdictTone(state) {
  if (state === "better" || state === "noWorse") return "good";
  return state === "worse" ? "bad" : "wait";
}

export const verdictChip = (v) => h(`span.chip.${verdictTone(v.state)}`, {}, word("verdict", v.state));
