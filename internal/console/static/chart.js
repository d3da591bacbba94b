// Lines over time, by uPlot. A chart lives as long as its page and is given new data.
import { h } from "./dom.js";
import { language, t } from "./i18n.js";
import { effect } from "./format.js";
import { limits } from "./draw.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// color resolves a custom property, which may be a light-dark() pair, for the canvas.
function color(name) {
  const probe = h("span", { style: { color: `var(${name})`, display: "none" } });
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function axis(extra) {
  const line = { stroke: color("--line"), width: 1 };
  return { stroke: color("--faint"), size: 30, font: `11px ${css("--font")}`, grid: line, ticks: { ...line, size: 4 }, ...extra };
}

const stamp = (seconds) => new Intl.DateTimeFormat(language() === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(seconds * 1000));

function times(u, splits) {
  const days = splits.length > 1 && splits[splits.length - 1] - splits[0] > 86400;
  return splits.map((x) => days ? new Intl.DateTimeFormat(language() === "zh" ? "zh-CN" : "en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(x * 1000)) : stamp(x));
}

// Chart holds a uPlot in a box that keeps its width.
class Chart {
  constructor(height, label) {
    this.box = h("figure.chart", { "aria-label": label, role: "img" });
    this.height = height;
    this.plot = null;
    this.size = new ResizeObserver(() => this.plot?.setSize({ width: Math.max(200, this.box.clientWidth), height: this.height }));
    this.size.observe(this.box);
  }

  draw(options, data) {
    if (this.plot) {
      this.plot.setData(data);
      return;
    }
    this.plot = new globalThis.uPlot({
      width: Math.max(200, this.box.clientWidth || 600), height: this.height, legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } }, ...options,
    }, data, this.box);
  }

  end() {
    this.size.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }
}

// SERVE is the kind of a stratum in which the candidate answers users. In the others live answers all of
// them, and the shares say only who would be on which side.
const SERVE = 0;

// ShareChart draws the candidate's share of users, and of mirrored requests, as a staircase.
export class ShareChart extends Chart {
  constructor() { super(170, t("release.shares")); }

  show(r) {
    const number = (text) => Number.parseFloat(text ?? "0") || 0;
    const xs = [], users = [], mirrored = [];
    for (const st of r.strata ?? []) {
      xs.push(Date.parse(st.opened) / 1000);
      users.push(st.kind === SERVE ? number(st.shares?.[1]) : 0);
      mirrored.push(number(st.mirror));
    }
    if (xs.length === 0) return;
    const end = r.ended ? Date.parse(r.ended) : Date.now();
    xs.push(Math.max(xs[xs.length - 1] + 1, end / 1000));
    users.push(number(r.share));
    mirrored.push(r.ended ? 0 : mirrored[mirrored.length - 1]);
    this.box.setAttribute("aria-label", `${t("release.shares")}: ${users.filter((x, i) => i === 0 || x !== users[i - 1]).map((x) => `${x}%`).join(", ")}`);
    const copies = mirrored.some((x) => x > 0);
    const stepped = globalThis.uPlot.paths.stepped({ align: 1 });
    this.draw({
      scales: { y: { range: [0, 105] } },
      axes: [axis({ values: times, space: 90 }), axis({ values: (u, ys) => ys.map((y) => (y > 100 ? "" : `${y}%`)), size: 46 })],
      series: [{},
        { stroke: color("--accent"), fill: color("--accent-soft"), width: 2, paths: stepped, points: { show: false } },
        { show: copies, stroke: color("--wait"), width: 1.5, dash: [5, 4], paths: stepped, points: { show: false } }],
    }, [xs, users, mirrored]);
  }
}

// EvidenceChart draws the interval over time against zero and the margin.
export class EvidenceChart extends Chart {
  constructor(label) { super(180, label); }

  show(points, v, sign) {
    if (points.length < 2) return false;
    const lim = limits(v, sign);
    const line = (value) => points.map(() => value);
    const fixed = lim.margin === null ? null : lim.margin;
    const thin = (name, dash) => ({ stroke: color(name), width: 1.5, dash, points: { show: false } });
    this.draw({
      axes: [axis({ values: times, space: 90 }), axis({ values: (u, ys) => ys.map((y) => effect(v.unit === "pp" ? "" : v.unit, y)), size: 58 })],
      series: [{}, { stroke: color("--accent-line"), width: 1, points: { show: false } }, { stroke: color("--accent-line"), width: 1, points: { show: false } },
        { stroke: color("--accent"), width: 2, points: { show: points.length < 40, size: 5 } }, thin("--faint"), thin("--bad", [5, 4])],
      bands: [{ series: [1, 2], fill: color("--accent-soft") }],
    }, [points.map((p) => p.time), points.map((p) => p.hi), points.map((p) => p.lo), points.map((p) => p.estimate), line(lim.zero), line(fixed)]);
    return true;
  }
}
