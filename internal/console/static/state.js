// What this tab knows: who is logged in, the latest state of each model's release as the stream tells it,
// and the verdicts that it has seen, for the charts of evidence.
import * as api from "./api.js";

const MAX_POINTS = 1200;
const ranks = { viewer: 1, operator: 2, admin: 3 };

export const session = { who: null, version: "", live: "off" };
const listeners = new Set();
const histories = new Map();
let abort = null;

export const allows = (role) => (ranks[session.who?.role] ?? 0) >= ranks[role];

// approves says whether a person may decide at a step that names roles or groups.
export function approves(by) {
  const mine = [session.who?.role, ...(session.who?.groups ?? [])];
  return !by?.length || by.some((name) => mine.includes(name));
}

// listen calls f with each event, and with null when only the connection changed. It returns the end.
export function listen(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

const tell = (event) => listeners.forEach((f) => f(event));

export function connect() {
  disconnect();
  abort = new AbortController();
  api.stream(abort.signal, (event) => {
    if (event.release) remember(event.release, Date.now() / 1000);
    tell(event);
  }, (state) => {
    session.live = state;
    tell(null);
  });
}

export function disconnect() {
  abort?.abort();
  abort = null;
  session.live = "off";
}

function series(model, number, v) {
  const key = `${model}/${number}/${v.metric}/${v.arm}`;
  if (!histories.has(key)) histories.set(key, []);
  return histories.get(key);
}

function add(list, time, v) {
  if (!v.level || (list.length > 0 && list[list.length - 1].time >= time)) return;
  list.push({ time, estimate: v.estimate, lo: v.lo, hi: v.hi });
  if (list.length > MAX_POINTS) { // every second old point goes, the newest stay
    const half = list.length / 2;
    list.splice(0, half, ...list.slice(0, half).filter((_, i) => i % 2 === 0));
  }
}

function remember(r, now) {
  for (const v of r.verdicts ?? []) add(series(r.model, r.number, v), now, v);
}

// history of one verdict: what decisions on record say, then what this tab has seen.
export function history(r, v) {
  const out = [];
  for (const d of r.decisions ?? []) {
    const old = (d.verdicts ?? []).find((x) => x.metric === v.metric && x.arm === v.arm && x.unit === v.unit);
    if (old) add(out, Date.parse(d.time) / 1000, old);
  }
  const end = out.length > 0 ? out[out.length - 1].time : 0;
  for (const p of series(r.model, r.number, v)) if (p.time > end) out.push(p);
  return out;
}
