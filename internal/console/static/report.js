// The test report: its outcome, and its cases when somebody asks for them.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { time } from "./format.js";

const tones = { passed: "good", failed: "bad", undecided: "wait", skipped: "run" };

// reportSection keeps its cases and whether it is open while the page around it is drawn again.
export function reportSection() {
  const head = h("div"), cases = h("div");
  const details = h("details", {}, h("summary", {}, t("test.cases")), cases);
  const box = h("section.card", { id: "report", hidden: true }, h("h2", {}, t("test.head")), head, details);
  let loaded = "", current = null;
  details.addEventListener("toggle", () => { if (details.open) load(); });

  async function load() {
    if (!current?.test?.report || loaded === current.test.report) return;
    loaded = current.test.report;
    replace(cases, h("p.faint", {}, t("test.loading")));
    try {
      replace(cases, table(await api.report(current.model, current.number)));
    } catch (err) {
      loaded = "";
      replace(cases, h("p.fault", {}, err.message));
    }
  }

  function show(r) {
    current = r;
    box.hidden = !r.test;
    if (!r.test) return;
    const verdict = r.test.passed ? "passed" : "failed";
    replace(head, h("p", {}, h(`span.chip.${tones[verdict]}`, {}, word("case", verdict)), " ", r.test.summary, h("span.faint", {}, ` ${time(r.test.finished)}`)),
      r.test.failed?.length > 0 && h("ul", {}, r.test.failed.map((name) => h("li", {}, name))));
    details.hidden = !r.test.report;
    if (details.open) load();
  }
  return { box, show };
}

function table(report) {
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": t("test.cases") }, h("table", {},
    h("thead", {}, h("tr", {}, ["family", "name", "status", "message"].map((key) => h("th", { scope: "col" }, t(`test.${key}`))))),
    h("tbody", {}, (report.results ?? []).map((c) => h("tr", {},
      h("td", {}, word("family", c.family)), h("td", {}, c.name, c.required && h("span.faint", {}, ` ${t("test.required")}`)),
      h("td", {}, h(`span.chip.${tones[c.status] ?? "run"}`, {}, word("case", c.status))),
      h("td.long", {}, c.message, c.details?.length > 0 && h("ul", {}, c.details.map((d) => h("li", {}, d)))))))));
}
