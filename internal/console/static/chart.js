// Curves, by uPlot. A chart lives as long as its part of the page and is given new data. Under it stands
// what the cursor points at, in words; beside every chart the page says its figures as text too.
import { h } from "./dom.js";
import { language } from "./i18n.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const locale = () => (language() === "zh" ? "zh-CN" : "en-GB");

// color resolves a custom property, which may be a light-dark() pair, for the canvas.
export function color(name) {
  const probe = h("span", { style: { color: `var(${name})`, display: "none" } });
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

export const clock = (seconds) => new Intl.DateTimeFormat(locale(), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(seconds * 1000));

function times(u, splits) {
  const span = splits.length > 1 ? splits[splits.length - 1] - splits[0] : 0;
  const options = span > 86400 ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } : span > 1800 ? { hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const format = new Intl.DateTimeFormat(locale(), options);
  return splits.map((x) => format.format(new Date(x * 1000)));
}

const drawn = new WeakMap(); // box -> chart: sizes are told by one observer
const sizes = new ResizeObserver((entries) => entries.forEach((e) => drawn.get(e.target)?.resize()));

// LineChart draws lines over time, over numbers, or over numbers on a logarithmic scale. Its look:
//   x        "time" | "number" | "log"        xs, ys   number -> text, of axes
//   series   [{label, color, width, dash, fill, step, say}]; say: number -> text for the line below
//   bands    [[upper, lower, color]] by index of series, from 1
//   range    () => [lowest, highest] of y      xRange  () => the same of x
//   marks    () => [{x, color, dash}] vertical lines;  levels () => [{y, color, dash}] horizontal ones
//   shades   () => [{from, to, color}] parts of y (or of x with across: true) behind all lines
//   said     x -> text that begins the line below
export class LineChart {
  constructor(height, label, look) {
    this.height = height;
    this.look = look;
    this.plotBox = h("div.plot");
    this.says = h("figcaption.small.faint");
    this.box = h("figure.chart", {}, this.plotBox, this.says);
    this.label(label);
    drawn.set(this.plotBox, this);
    sizes.observe(this.plotBox);
  }

  label(text) {
    this.plotBox.setAttribute("role", "img");
    this.plotBox.setAttribute("aria-label", text);
  }

  // show takes the columns [xs, ys, ys, ...] and what stands below while the cursor is elsewhere.
  show(data, words) {
    this.data = data;
    if (words !== undefined) this.words = words;
    if (this.plotBox.clientWidth === 0) return; // not on the page yet: resize comes when it is
    if (this.plot) this.plot.setData(data);
    else this.make();
    this.say(this.plot.cursor.idx);
  }

  // redraw draws marks and levels anew; the data are the same.
  redraw() {
    if (this.plot?.scales.x.min !== null && this.plot?.scales.x.min !== undefined) this.plot.redraw(false);
  }

  resize() {
    if (!this.data || this.plotBox.clientWidth === 0) return;
    if (this.plot) this.plot.setSize({ width: this.plotBox.clientWidth, height: this.height });
    else this.show(this.data);
  }

  make() {
    const look = this.look;
    const line = { stroke: color("--line"), width: 1 };
    const axis = (values, more) => ({ stroke: color("--faint"), font: `11px ${css("--font")}`, grid: line, ticks: { ...line, size: 4 }, ...(values && { values }), ...more });
    const list = (format) => format && ((u, splits) => splits.map((x) => (x === null ? "" : format(x))));
    const step = globalThis.uPlot.paths.stepped({ align: 1 });
    const xScale = look.x === "time" ? {} : look.x === "log" ? { time: false, distr: 3 } : { time: false };
    if (look.xRange) xScale.range = look.xRange;
    this.plot = new globalThis.uPlot({
      width: this.plotBox.clientWidth, height: this.height, legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: { x: xScale, y: look.range ? { range: look.range } : {} },
      axes: [axis(look.x === "time" ? times : list(look.xs), { size: 28, space: look.xSpace ?? (look.x === "time" ? 90 : 60) }), axis(list(look.ys), { size: look.ySize ?? 58 })],
      series: [{}, ...look.series.map((s) => ({
        stroke: color(s.color), width: s.width ?? 2, dash: s.dash, fill: s.fill && color(s.fill), paths: s.step ? step : undefined,
        points: { show: s.points ?? false, size: 5 }, spanGaps: false,
      }))],
      bands: (look.bands ?? []).map(([a, b, fill]) => ({ series: [a, b], fill: color(fill) })),
      hooks: { drawClear: [(u) => this.behind(u)], draw: [(u) => this.lines(u)], setCursor: [(u) => this.say(u.cursor.idx)] },
    }, this.data, this.plotBox);
  }

  behind(u) {
    const { ctx, bbox } = u;
    for (const s of this.look.shades?.() ?? []) {
      const axis = s.across ? "x" : "y";
      const [min, max] = [u.scales[axis].min, u.scales[axis].max];
      const a = u.valToPos(Math.min(max, Math.max(min, s.from)), axis, true), b = u.valToPos(Math.min(max, Math.max(min, s.to)), axis, true);
      ctx.fillStyle = color(s.color);
      if (s.across) ctx.fillRect(Math.min(a, b), bbox.top, Math.abs(b - a), bbox.height);
      else ctx.fillRect(bbox.left, Math.min(a, b), bbox.width, Math.abs(b - a));
    }
  }

  lines(u) {
    const { ctx, bbox } = u;
    const stroke = (x1, y1, x2, y2, m) => {
      ctx.save();
      ctx.strokeStyle = color(m.color);
      ctx.lineWidth = (m.width ?? 1.5) * devicePixelRatio;
      ctx.setLineDash((m.dash ?? []).map((d) => d * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(x1, y1);
      ctx.lineTo(x2, y2);
      ctx.stroke();
      ctx.restore();
    };
    for (const m of this.look.levels?.() ?? []) {
      if (m.y < u.scales.y.min || m.y > u.scales.y.max) continue;
      const y = u.valToPos(m.y, "y", true);
      stroke(bbox.left, y, bbox.left + bbox.width, y, m);
    }
    for (const m of this.look.marks?.() ?? []) {
      if (m.x < u.scales.x.min || m.x > u.scales.x.max) continue;
      const x = u.valToPos(m.x, "x", true);
      stroke(x, bbox.top, x, bbox.top + bbox.height, m);
    }
  }

  say(i) {
    if (i === null || i === undefined) {
      this.says.textContent = this.words ?? "";
      return;
    }
    const look = this.look, x = this.data[0][i];
    const parts = look.series.map((s, k) => [s, this.data[k + 1][i]]).filter(([s, y]) => s.label && y !== null && y !== undefined)
      .map(([s, y]) => `${s.label} ${(s.say ?? look.ys ?? String)(y)}`);
    this.says.textContent = [look.x === "time" ? clock(x) : look.said?.(x), ...parts].filter(Boolean).join(" · ");
  }

  end() {
    sizes.unobserve(this.plotBox);
    this.plot?.destroy();
    this.plot = null;
    this.data = null;
  }
}
