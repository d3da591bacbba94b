// What this tab knows: who is logged in, and the stream of events, which every page may listen to.
import * as api from "./api.js";

const ranks = { viewer: 1, operator: 2, admin: 3 };

export const session = { who: null, version: "", live: "off" };
const listeners = new Set();
let abort = null;
let about = null; // the model that the stream is about; "": all; null: no stream

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

// follow opens the stream of one model, or of all with "". The same stream stays open from page to page.
export function follow(model) {
  if (about === model && abort) return;
  disconnect();
  about = model;
  abort = new AbortController();
  const signal = abort.signal;
  api.stream(signal, model, tell, (state) => {
    if (signal.aborted) return;
    session.live = state;
    tell(null);
  });
}

export function disconnect() {
  abort?.abort();
  abort = null;
  about = null;
  session.live = "off";
}
