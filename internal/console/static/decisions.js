// Decisions as a table: on the release page and on the audit page.
import { h } from "./dom.js";
import { t, word } from "./i18n.js";
import { time } from "./format.js";

const SHOWN = 500; // rows; more are told by number and are all in the export

const tones = { rollback: "bad", stop: "bad", pause: "wait", undo: "wait", finish: "good", advance: "good" };

// cell carries its column's name: on a phone, where rows are stacked, it stands before the value.
const cell = (key, ...children) => h(`td.of-${key}`, { "data-label": t(`decisions.${key}`) }, children);

export function decisionRows(decisions, withRelease) {
  const newest = [...decisions].sort((a, b) => b.release - a.release || b.number - a.number);
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("decisions.head") }, h("table.decisions", {},
    h("thead", {}, h("tr", {}, [withRelease && "release", "time", "what", "step", "share", "by", "reason"].filter(Boolean).map((key) => h("th", { scope: "col" }, t(`decisions.${key}`))))),
    h("tbody", {}, newest.slice(0, SHOWN).map((d) => h("tr", {},
      withRelease && cell("release", h("a", { href: `#/models/${encodeURIComponent(d.model)}/releases/${d.release}` }, d.release)),
      cell("time", h("span.nowrap", {}, time(d.time))),
      cell("what", h(`span.chip.${tones[d.what] ?? "run"}`, {}, word("what", d.what))),
      cell("step", word("step", d.step)),
      cell("share", h("span.nowrap", {}, d.from === d.to ? d.to : `${d.from} → ${d.to}`)),
      cell("by", h("span", { title: [d.role && word("role", d.role), d.address].filter(Boolean).join(", ") }, d.by)),
      cell("reason", d.reason)))),
  ), newest.length > SHOWN && h("p.faint", {}, t("decisions.more", { n: newest.length - SHOWN })));
}

export function decisionTable(decisions) {
  return h("section.card", {}, h("h2", {}, t("decisions.head")), decisions.length === 0 ? h("p.faint", {}, t("decisions.none")) : decisionRows(decisions, false));
}
