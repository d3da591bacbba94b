// Whether the comparison can be trusted: users per side, outcomes, feedback, what was lost.
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { count, percent, time } from "./format.js";

export function checks(r, sums) {
  const fact = (name, ...value) => h("div.fact", {}, h("dt", {}, name), h("dd", {}, value));
  return [h("h2", {}, t("release.facts")), h("dl.facts", {},
    fact(t("release.candidateRequests"), count(r.candidateExposures)),
    r.exposures?.length > 1 && fact(t("release.stepRequests"), `${count(r.exposures[1])} / ${count(r.exposures[0])}`, h("span.faint", {}, ` ${t("release.candidateLive")}`)),
    r.pairs > 0 && fact(t("release.pairs"), count(r.pairs), h("span.faint", {}, ` ${t("release.scored", { n: count(r.scored) })}`)),
    ratio(r, r.ratio, t("release.ratio"), "ratio"), ratio(r, sums?.outcomes, t("release.outcomes"), "outcomes"),
    r.baseline && fact(t("release.baseline"), r.baseline.made ? time(r.baseline.made) : t("release.baselineYes")),
    fact(t("release.file"), h("code", { title: r.specHash }, r.specHash?.slice(0, 12)))),
  feedback(r, sums?.feedback ?? []), diagnostics(sums?.diagnostics ?? []),
  sums?.available === false && sums.why && h("p.small.faint", {}, t("release.noSums", { why: sums.why }))];
}

function ratio(r, ratio, name, id) {
  const units = ratio?.units ?? [];
  const total = units.reduce((a, b) => a + b, 0);
  if (total === 0) return null;
  const tone = ratio.alarm ? "bad" : ratio.warn ? "wait" : "good";
  const arms = units.map((n, arm) => `${arm === 0 ? r.live : units.length > 2 ? `${r.candidate} ${arm}` : r.candidate}: ${count(n)} (${percent(n / total)}, ${t("ratio.expected")} ${percent(ratio.expected?.[arm])})`);
  return h("div.fact.wide", { id }, h("dt", {}, name), h("dd", {}, h(`span.chip.${tone}`, {}, t(`ratio.${tone}`)), ` ${arms.join(" · ")}`, tone !== "good" && ratio.reason && h("p.small", {}, ratio.reason)));
}

function feedback(r, all) {
  if (all.length === 0) return null;
  const cell = (arm) => (arm ? `${count(arm.n)}${arm.exposures > 0 ? ` (${t("feedback.of", { share: percent(arm.n / arm.exposures) })})` : ""}` : "–");
  return [h("h3.apart", {}, t("feedback.head")), h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("feedback.head") }, h("table.numbers", {},
    h("thead", {}, h("tr", {}, [t("feedback.metric"), `${r.live} (${t("evidence.live")})`, r.candidate].map((x) => h("th", { scope: "col" }, x)))),
    h("tbody", {}, all.map((f) => h("tr", {}, h("th", { scope: "row" }, f.metric), h("td", {}, cell(f.arms?.[0])), h("td", {}, cell(f.arms?.[1])))))))];
}

function diagnostics(all) {
  const shown = all.filter((d) => d.shown);
  if (shown.length === 0) return null;
  return [h("h3.apart", {}, t("diagnostics.head")), h("ul", {}, shown.map((d) => h("li", {}, d.class ? `${d.metric}, ${d.class}: ` : "", d.reason))), h("p.small.faint", {}, t("diagnostics.what"))];
}
