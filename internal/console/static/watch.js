// What the standing watch sees after a release has succeeded: the evidence on its way to an alarm. It moves nobody.
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { chance, count, duration, time } from "./format.js";

export function watch(r) {
  const w = r.watch;
  if (!w) return [];
  const fact = (name, ...value) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value));
  const tone = w.alarm ? "bad" : w.watching ? "good" : "wait";
  const state = w.alarm ? "alarm" : w.watching ? "on" : "off";
  return [h("h2", {}, t("watch.head"), " ", h(`span.chip.${tone}`, {}, t(`watch.${state}`))),
    w.alarm && h("p", {}, t("watch.alarmAt", { n: w.alarm.number, time: time(w.alarm.time) }), " ", w.alarm.reason),
    h("p", {}, w.alarm ? `${t("watch.since")} ` : "", w.reason),
    w.windows > 0 && w.bar > 0 && h("dl.facts", {},
      h("div.fact.wide", {}, h("dt", {}, t("watch.evidence")), h("dd", {}, meter(w))),
      fact(t("watch.windows"), count(w.windows), h("span.faint", {}, ` ${t("watch.each", { duration: duration(w.windowSeconds) })}`)),
      w.since && fact(t("watch.began"), time(w.since)), w.closed && fact(t("watch.closed"), time(w.closed)),
      fact(t("watch.within"), chance(w.within))),
    h("p.small.faint", {}, t("watch.what"))];
}

// meter shows how much of the evidence for an alarm there is. Evidence below none is none.
function meter(w) {
  const part = Math.max(0, Math.min(1, w.lnE / w.bar));
  const text = t("watch.of", { part: `${Math.round(100 * part)} %` });
  return [h("meter", { min: 0, max: 1, high: 0.8, optimum: 0, value: part, "aria-label": text }), ` ${text}`];
}
