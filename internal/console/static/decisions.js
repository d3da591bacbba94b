// Decisions as a table: on the release page and on the audit page.
import { h } from "./dom.js";
import { t, word } from "./i18n.js";
import { intervalWords, verdictChip } from "./draw.js";
import { count, time, value } from "./format.js";

const SHOWN = 200; // rows on the release page; the audit page shows all

const tones = { rollback: "bad", stop: "bad", pause: "wait", undo: "wait", finish: "good", advance: "good" };

// cell carries its column's name: on a phone, where rows are stacked, it stands before the value.
const cell = (key, ...children) => h(`td.of-${key}`, { "data-label": t(`decisions.${key}`) }, children);

export function decisionHead(withRelease) {
  return h("thead", {}, h("tr", {}, [withRelease && "release", "time", "what", "step", "share", "by", "reason"].filter(Boolean).map((key) => h("th", { scope: "col" }, t(`decisions.${key}`)))));
}

export function decisionRow(d, withRelease) {
  return h("tr", {},
    withRelease && cell("release", h("a", { href: `#/models/${encodeURIComponent(d.model)}/releases/${d.release}` }, `${d.model} ${d.release}`)),
    cell("time", h("span.nowrap", {}, time(d.time))),
    cell("what", h(`span.chip.${tones[d.what] ?? "run"}`, {}, word("what", d.what))),
    cell("step", word("step", d.step)),
    cell("share", h("span.nowrap", {}, d.from === d.to ? d.to : `${d.from} → ${d.to}`)),
    cell("by", h("span", {}, d.by), d.role && h("span.small.faint", {}, ` ${word("role", d.role)}`), d.address && h("div.small.faint", {}, d.address)),
    cell("reason", said(d.reason), record(d)));
}

// said breaks a long reason into what was found of each metric.
function said(reason) {
  const [first, ...rest] = (reason ?? "").split(/; (?=[\w.-]+: )/);
  return [h("span.said", {}, first), rest.length > 0 && h("ul.said.small", {}, rest.map((text) => h("li", {}, text)))];
}

// record is what stands behind a decision: its numbers and its place in the chain.
function record(d) {
  if (!d.hash) return null;
  const details = h("details.record", {}, h("summary.small", {}, t("decisions.record", { n: d.number })));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(h("div", {}, d.verdicts?.length > 0 && h("ul.small", {}, d.verdicts.map((v) => h("li", {}, verdictChip(v), ` ${v.metric}: ${value(v.kind, v.candidate.value)} / ${value(v.kind, v.live.value)}, ${intervalWords(v)}, n ${count(v.candidate.exposures)} / ${count(v.live.exposures)}`))),
      h("p.small.faint.wrap", {}, t("decisions.hash"), " ", h("code", {}, d.hash)), d.prev && h("p.small.faint.wrap", {}, t("decisions.prev"), " ", h("code", {}, d.prev)),
      d.tally && h("p.small.faint.wrap", {}, t("decisions.tally"), " ", h("code", {}, d.tally))));
  }, { once: false });
  return details;
}

export function decisionTable(decisions) {
  const newest = [...decisions].sort((a, b) => b.number - a.number);
  return h("section.card", {}, h("h2", {}, t("decisions.head")), decisions.length === 0 ? h("p.faint", {}, t("decisions.none"))
    : h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("decisions.head") }, h("table.stacked", {}, decisionHead(false), h("tbody", {}, newest.slice(0, SHOWN).map((d) => decisionRow(d, false)))),
      newest.length > SHOWN && h("p.faint", {}, t("decisions.more", { n: newest.length - SHOWN }))));
}
