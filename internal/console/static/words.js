// What the data say, in a sentence of the chosen language. The server's own sentences are English and
// are what is on record; in another language the same numbers are put into words here.
import { language, t, word } from "./i18n.js";
import { count, duration, effect, margin, value } from "./format.js";

const NS = 1e9; // the API's step times are nanoseconds

// brief leaves out what stands in brackets at the end of a long sentence: the numbers of a verdict, which
// are in its row.
export const brief = (text) => (text?.length > 110 ? text.replace(/ \([A-Za-z]+: .*\)$/s, "") : text ?? "");

// patterns of the server's sentences, with what says the same in another language.
const patterns = [
  [/^(\w+): (\S+) of (\S+)$/, "wait.time", ["what", "a", "b"]],
  [/^(\S+): no worse to be shown/, "wait.noWorse", ["metric"]],
  [/^(\S+): better to be shown/, "wait.better", ["metric"]],
  [/^([\d,]+) of ([\d,]+) pairs$/, "wait.pairs", ["a", "b"]],
  [/^([\d,]+) of ([\d,]+) pairs scored by feedback$/, "wait.scored", ["a", "b"]],
  [/^paused by (.+?): (.*)$/s, "wait.paused", ["by", "reason"]],
  [/^the approval of (.+)$/, "wait.approval", ["who"]],
  [/^the report of test suite (\S+?)(?:@\w+)?$/, "wait.suite", ["suite"]],
  [/^a person: /, "wait.person", []],
  [/^telemetry: none for (\S+),/, "wait.telemetry", ["a"]],
  [/^all live gateways to serve generation (\d+)/, "wait.gateways", ["n"]],
  [/^enough data of live for the baseline$|^the baseline to be written/, "wait.baseline", []],
  [/^a new assessment of the data$/, "wait.look", []],
];

// span reads a duration as the server writes it: 1h30m, 4s, 964.59ms.
function span(text) {
  const sizes = { h: 3600, m: 60, s: 1, ms: 0.001, "µs": 0, ns: 0 };
  const parts = [...text.matchAll(/([\d.]+)(h|ms|µs|ns|m|s)/g)];
  return parts.length > 0 ? duration(parts.reduce((sum, [, n, unit]) => sum + Number(n) * sizes[unit], 0)) : text;
}

// said puts one of the server's sentences into the chosen language, or leaves it as it is.
export function said(text) {
  if (language() === "en") return brief(text).replace(/@[0-9a-f]{64}/, "");
  for (const [pattern, key, names] of patterns) {
    const m = pattern.exec(text);
    if (!m) continue;
    const values = Object.fromEntries(names.map((name, i) => [name, m[i + 1]]));
    if (values.what) Object.assign(values, { what: word("clock", values.what), a: span(values.a), b: span(values.b) });
    return t(key, values);
  }
  return brief(text);
}

// lead says in one line where a release is and what it waits for.
export function lead(r) {
  if (language() === "en") return brief(r.explain?.summary ?? r.reason).replace(/@[0-9a-f]{64}/, "");
  const step = r.steps?.[r.step];
  if (!step) return r.reason;
  const waits = r.explain?.waiting ?? [];
  const place = t("lead.place", { n: r.step + 1, of: r.steps.length, step: word("step", step.kind), share: step.stages > 0 || step.kind === "production" ? ` ${step.share}` : "" });
  return waits.length > 0 ? `${place}${t("lead.waits", { what: said(waits[0]) })}` : place;
}

// nextWords says what follows the present step.
export function nextWords(r) {
  if (language() === "en") return r.explain?.next ?? "";
  const now = r.steps?.[r.step];
  if (now?.stages > now?.stage) return t("next.stage", { step: word("step", now.kind) });
  const next = r.steps?.[r.step + 1];
  if (!next) return t("next.live", { candidate: r.candidate });
  return word("step", next.kind) + (next.stages > 0 || next.kind === "production" ? ` ${next.share}` : "");
}

// deadlineWords says what happens when the step stays undecided.
export function deadlineWords(r) {
  if (language() === "en") return r.explain?.deadline ?? "";
  const step = r.steps?.[r.step];
  if (!r.explain?.deadline || !(step?.deadline > 0)) return "";
  return t("deadline.words", { a: duration(step.deadline / NS), then: t(/taken back/.test(r.explain.deadline) ? "deadline.back" : "deadline.pause") });
}

// sentence is a verdict in words.
export function sentence(v) {
  if (language() === "en") return v.reason;
  if (v.live.exposures + v.candidate.exposures === 0) return t("sentence.none");
  const parts = [t("sentence.values", { candidate: value(v.kind, v.candidate.value), live: value(v.kind, v.live.value) })];
  if (v.level) parts.push(t("sentence.interval", { lo: effect(v.unit, v.lo), hi: effect(v.unit, v.hi), level: Math.round(1000 * v.level) / 10 }));
  if (v.margin) parts.push(t("sentence.margin", { margin: v.margin }));
  parts.push(t("sentence.state", { state: word("verdict", v.state) }), t("sentence.n", { candidate: count(v.candidate.exposures), live: count(v.live.exposures) }));
  // The test of a quantile counts exceedances and needs fewer requests than the interval of the ratio.
  if (v.unit === "x" && v.state === "noWorse" && v.hi > (margin(v.margin)?.value ?? Infinity)) parts.push(t("sentence.exceedances"));
  if (v.needs?.seconds > 0) parts.push(v.needs.exposures > 0 ? t("sentence.needs", { n: count(v.needs.exposures), duration: duration(v.needs.seconds) }) : t("sentence.soon", { duration: duration(v.needs.seconds) }));
  return parts.join(t("sentence.comma")) + t("sentence.end");
}
