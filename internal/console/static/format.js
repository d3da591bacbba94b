// Numbers, times and units as people read them, in the chosen language.
import { language, t } from "./i18n.js";

const locale = () => (language() === "zh" ? "zh-CN" : "en");

export const count = (n) => new Intl.NumberFormat(locale()).format(Math.round(n ?? 0));

// number has three significant digits.
export function number(x) {
  if (!Number.isFinite(x)) return "–";
  return new Intl.NumberFormat(locale(), { maximumSignificantDigits: 3 }).format(x).replace("-", "−");
}

export function percent(x) {
  if (!Number.isFinite(x)) return "–";
  return new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: Math.abs(x) < 0.1 ? 2 : 1 }).format(x);
}

// chance is a probability that is never shown as certain.
export function chance(p) {
  if (!Number.isFinite(p)) return "–";
  if (p > 0.999) return `> ${percent(0.999)}`;
  return p < 0.001 ? `< ${percent(0.001)}` : percent(p);
}

export function time(text) {
  if (!text) return "–";
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(text));
}

// ago is how long a time is past: for what is looked at while it happens.
export function ago(text) {
  if (!text) return "–";
  return t("time.ago", { duration: duration(Math.max(0, (Date.now() - Date.parse(text)) / 1000)) });
}

// duration of seconds: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h.
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.round(seconds);
  const out = [];
  for (const [unit, size] of parts) {
    const n = Math.floor(rest / size);
    if (n > 0) out.push(`${n} ${t("unit." + unit)}`);
    rest -= n * size;
    if (out.length === 2) break;
  }
  return out.join(" ") || `0 ${t("unit.s")}`;
}

// bytes: 812 B, 12.3 MB.
export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; n >= 1000 && i < units.length - 1; i++) n /= 1000;
  return `${number(n)} ${units[i]}`;
}

// share reads "12.5%" as 12.5.
export const share = (text) => Number.parseFloat(text ?? "0") || 0;

// margin reads "0.5pp", "1.25x", "5%", "0.05bits" or "3" into a value and a unit.
export function margin(text) {
  const m = /^([-+0-9.eE]+)\s*(\S*)$/.exec(text ?? "");
  return m ? { value: Number(m[1]), unit: m[2] } : null;
}

// value of an arm, in the unit of its kind of metric.
export function value(kind, x) {
  if (x === null || x === undefined) return "–";
  switch (kind) {
    case "event": case "proportion": return percent(x);
    case "latency": return `${number(x)} ms`;
    case "category": return `${number(x)} ${t("unit.bits")}`;
  }
  return number(x);
}

// effect is a difference in a verdict's unit, with its sign; "x" is a ratio.
export function effect(unit, x) {
  if (unit === "x") return `${number(x)}×`;
  const name = unit === "pp" ? ` ${t("unit.pp")}` : unit === "bits" ? ` ${t("unit.bits")}` : unit ? ` ${unit}` : "";
  return (x > 0 ? "+" : "") + number(x) + name;
}
