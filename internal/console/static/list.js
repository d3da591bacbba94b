// Long lists: a page at a time, by the server's cursor, and the next one when the end comes into view.
import { h } from "./dom.js";
import { t } from "./i18n.js";

// Pages fetches with fetch(after) -> {items, next} and hands each page to add(items). stages is a list of
// such functions, read one after the other: first all that waits for a person, then the rest.
export class Pages {
  constructor(stages, add) {
    this.stages = stages;
    this.add = add;
    this.stage = 0;
    this.cursor = "";
    this.loading = false;
    this.over = false;
    this.more = h("button.quiet", { type: "button", onclick: () => this.load() }, t("list.more"));
    this.note = h("span.faint", { role: "status" });
    this.box = h("p.pager", {}, this.more, this.note);
    this.seen = new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting)) this.load(); }, { rootMargin: "400px" });
  }

  // load fetches the next page. A failure leaves the button, so that one can try again.
  async load() {
    if (this.loading || this.over || this.ended) return;
    this.loading = true;
    this.more.disabled = true;
    this.note.textContent = "";
    try {
      const page = await this.stages[this.stage](this.cursor);
      if (this.ended) return;
      this.add(page.items ?? []);
      this.cursor = page.next ?? "";
      if (!this.cursor) this.stage++;
      this.over = this.stage >= this.stages.length;
    } catch (err) {
      if (err.status !== 401) this.note.textContent = err.message;
      this.failed = true;
    } finally {
      this.loading = false;
      this.more.disabled = false;
      this.box.hidden = this.over;
    }
    this.watch();
  }

  // watch asks again to be told when the end is in view: it may be there still.
  watch() {
    this.seen.disconnect();
    if (!this.over && !this.failed && !this.ended) this.seen.observe(this.box);
    this.failed = false;
  }

  end() {
    this.ended = true;
    this.seen.disconnect();
  }
}

// debounce calls f once nobody has called for a while.
export function debounce(ms, f) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...args), ms);
  };
}
