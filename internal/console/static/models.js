// The list of models: what is live, what is being released, at which share, and what it waits for. What
// waits for a person stands first, then what runs, then the rest.
import { become, h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { listen } from "./state.js";
import { Pages, debounce } from "./list.js";
import { ended, health, phaseChip, shareBar, tinyWay, tone } from "./draw.js";
import { brief, lead } from "./words.js";
import { number } from "./format.js";

const PAGE = 100;
const REFRESH = 15000; // ms: traffic, and models without a release, are not in the stream
const groups = ["", "paused", "running", "ended"];

export async function modelsPage() {
  const page = new ModelsPage();
  await page.start();
  return page.page();
}

class ModelsPage {
  constructor() {
    this.rows = new Map(); // by model: {m, el}
    this.list = h("ul.models", { "aria-label": t("models.head") });
    this.counts = h("p.faint", { role: "status" });
    this.below = h("div");
    this.search = h("input", { id: "search", type: "search", placeholder: t("models.search"), "aria-label": t("models.search"), oninput: debounce(250, () => this.start()) });
    this.group = h("select", { id: "group", "aria-label": t("models.group"), onchange: () => this.start() }, groups.map((g) => h("option", { value: g }, word("group", g || "all"))));
  }

  // stages of the list: with a filter one, without the order in which somebody on call looks.
  stages() {
    const from = (fixed) => (after) => api.models({ limit: PAGE, after, q: this.search.value.trim(), ...fixed });
    if (this.group.value) return [from({ phase: this.group.value })];
    return [from({ phase: "paused" }), from({ running: "true" }), from({ running: "false" })];
  }

  async start() {
    this.pages?.end();
    this.pages = new Pages(this.stages(), (items) => this.add(items));
    const mine = this.pages;
    this.fresh = true;
    do await mine.load(); while (!mine.over && !mine.ended && !mine.note.textContent && this.rows.size < 30);
    if (mine !== this.pages) return;
    if (mine.note.textContent && this.fresh) throw new api.Problem(0, mine.note.textContent);
    this.settle();
  }

  add(items) {
    if (this.fresh) {
      this.rows.clear();
      this.list.replaceChildren();
      this.fresh = false;
    }
    for (const m of items) {
      if (this.rows.has(m.name)) continue; // it was in an earlier stage
      const el = row(m);
      this.rows.set(m.name, { m, el });
      this.list.append(el);
    }
    this.settle();
  }

  settle() {
    const filtered = this.search.value.trim() !== "" || this.group.value !== "";
    const none = this.rows.size === 0 && this.pages.over;
    replace(this.below, this.pages.box, none && (filtered ? h("p.faint", {}, t("models.noMatch")) : empty()));
  }

  page() {
    const silence = listen((event) => this.see(event));
    const timer = setInterval(() => this.refresh(), REFRESH);
    this.refresh();
    return {
      title: t("models.head"),
      nodes: [h("div.page-head", {}, h("h1", {}, t("models.head")), this.counts, h("span.space"), h("div.filters", { role: "search" }, this.search, this.group)), this.list, this.below],
      end: () => { clearInterval(timer); silence(); this.pages.end(); },
    };
  }

  see(event) {
    if (!event?.release) return;
    const known = this.rows.get(event.model);
    if (!known) {
      this.unknown ??= setTimeout(() => { this.unknown = null; if (!this.search.value && !this.group.value && this.pages.over) this.refresh(true); }, 2000);
      return;
    }
    const over = ended(event.release.phase) && !ended(known.m.current?.phase ?? "Stopped");
    known.m.current = event.release;
    if (over && event.release.phase === "Succeeded") known.m.live = event.release.candidate;
    this.redraw(known);
  }

  // redraw is done at the next frame, once, however many events came.
  redraw(known) {
    this.dirty ??= new Set();
    if (this.dirty.size === 0) requestAnimationFrame(() => {
      const all = this.dirty;
      this.dirty = null;
      for (const k of all) {
        become(k.el, row(k.m));
      }
    });
    this.dirty.add(known);
  }

  // refresh brings the counts, and the first page of models anew.
  async refresh(whole) {
    try {
      const s = await api.status();
      this.counts.textContent = t("models.counts", { models: s.models, running: s.running });
      if (whole === true) return void await this.start();
      const page = await api.models({ limit: PAGE, q: this.search.value.trim() });
      for (const m of page.items) {
        const known = this.rows.get(m.name);
        if (!known || JSON.stringify(known.m) === JSON.stringify(m)) continue;
        known.m = m;
        this.redraw(known);
      }
    } catch (err) {
      if (err.status !== 401) console.warn("the list can't be refreshed", err.message); // the next turn tries again
    }
  }
}

function empty() {
  return h("section.card.empty", {}, h("h2", {}, t("models.empty")), h("p", {}, t("models.emptyWhat")),
    h("pre", { tabindex: 0 }, "sluice apply -f model.yaml\nsluice release MODEL --to VERSION\nsluice status MODEL --watch"), h("p.faint", {}, t("models.emptyDemo")), h("pre", { tabindex: 0 }, "sluice demo"));
}

const path = (name) => `#/models/${encodeURIComponent(name)}`;

export function row(m) {
  const r = m.current;
  const traffic = m.traffic?.requestsPerSecond > 0 ? t("models.traffic", { n: number(m.traffic.requestsPerSecond) }) : t("models.noTraffic");
  const head = h("div.m-name", {}, h("h2", {}, h("a", { href: path(m.name) }, m.name)),
    h("span.small.faint", {}, t("models.live"), " ", h("strong", {}, m.live), " · ", traffic));
  if (!r) {
    return h("li.card.model", {}, head, h("p.m-none", {}, t("models.noRelease"), " ", h("code", {}, `sluice release ${m.name} --to ${m.versions?.find((v) => v !== m.live) ?? "VERSION"}`)));
  }
  const over = ended(r.phase);
  return h(`li.card.model.is-${tone(r.phase)}`, {}, head,
    h("div.m-release", {}, h("a", { href: `${path(m.name)}/releases/${r.number}` }, t("models.release", { n: r.number }), " ", h("span.faint", {}, r.live, " → "), h("strong", {}, r.candidate)), phaseChip(r.phase)),
    h("div.m-way", {}, tinyWay(r), h("span.small.faint", {}, over ? "" : [t("models.step", { n: r.step + 1, of: r.steps.length }), " · ", word("step", r.steps[r.step]?.kind)])),
    h("div.m-share", {}, shareBar(r.share), h("strong", {}, r.share)),
    h("div.m-health", {}, health(r)),
    h("p.m-why", {}, brief(over ? r.reason : lead(r))));
}
