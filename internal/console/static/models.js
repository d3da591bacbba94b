// The list of models: what is live, what is being released, at which share, and what it waits for.
import { h, replace } from "./dom.js";
import { t, word } from "./i18n.js";
import * as api from "./api.js";
import { listen } from "./state.js";
import { ended, phaseChip, shareBar, tone, verdictTone } from "./draw.js";

const REFRESH = 20000; // ms: models without a release are not in the stream

export async function modelsPage() {
  let models = (await api.models()).items;
  const list = h("div");
  const draw = () => replace(list, models.length === 0 ? empty() : table(models));
  draw();
  const again = async () => {
    try {
      models = (await api.models()).items;
      draw();
    } catch (err) {
      if (err.status !== 401) console.warn("the list can't be refreshed", err.message); // the next turn tries again
    }
  };
  const timer = setInterval(again, REFRESH);
  const silence = listen((event) => {
    if (!event?.release) return;
    const m = models.find((x) => x.name === event.model);
    if (!m) {
      again();
      return;
    }
    const wasEnded = ended(m.current?.phase ?? "Stopped");
    m.current = event.release;
    if (wasEnded !== ended(event.release.phase)) again(); // live may have changed
    else draw();
  });
  return {
    title: t("models.head"), nodes: [h("h1", {}, t("models.head")), list],
    end: () => { clearInterval(timer); silence(); },
  };
}

function empty() {
  return h("section.card.empty", {}, h("h2", {}, t("models.empty")), h("p", {}, t("models.emptyWhat")),
    h("pre", {}, "sluice apply -f model.yaml\nsluice release MODEL --to VERSION\nsluice status MODEL --watch"), h("p.faint", {}, t("models.emptyDemo")), h("pre", {}, "sluice demo"));
}

function table(models) {
  const rank = (m) => (!m.current ? 3 : m.current.phase === "Paused" ? 0 : ended(m.current.phase) ? 2 : 1);
  const sorted = [...models].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  return h("ul.models", {}, sorted.map(row));
}

function row(m) {
  const r = m.current;
  const href = r ? `#/models/${encodeURIComponent(m.name)}/releases/${r.number}` : null;
  const head = h("div.model-head", {},
    h("h2", {}, href ? h("a", { href }, m.name) : m.name),
    h("span.faint", {}, t("models.live"), " ", h("strong", {}, m.live)));
  if (!r) {
    return h("li.card.model", {}, head, h("p", {}, t("models.noRelease")), h("pre", {}, `sluice release ${m.name} --to ${m.versions.find((v) => v !== m.live) ?? "VERSION"}`));
  }
  const over = ended(r.phase);
  return h(`li.card.model.is-${tone(r.phase)}`, {}, head,
    h("div.model-release", {},
      h("span", {}, t("models.release", { n: r.number }), " ", h("span.faint", {}, r.live, " → "), h("strong", {}, r.candidate)),
      phaseChip(r.phase),
      !over && h("span.faint", {}, t("models.step", { n: r.step + 1, of: r.steps.length }), " · ", word("step", r.steps[r.step]?.kind)),
      h("span.model-share", {}, shareBar(r.share), h("strong", {}, r.share)),
      health(r)),
    h("p.why", {}, over ? r.reason : r.explain?.summary ?? r.reason));
}

// health counts what the metrics say now.
function health(r) {
  const tones = { bad: 0, wait: 0, good: 0 };
  for (const v of r.verdicts ?? []) if (v.role !== "watch") tones[verdictTone(v.state)]++;
  const marks = { bad: "✕", wait: "…", good: "✓" };
  return h("span.health", {}, Object.entries(tones).filter(([, n]) => n > 0)
    .map(([tone, n]) => h(`span.${tone}`, { title: t(`health.${tone}`, { n }) }, `${marks[tone]} ${n}`)));
}
