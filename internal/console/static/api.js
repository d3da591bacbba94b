// The client of the REST API. Who is logged in is a cookie that scripts can't read; what is kept here is
// the session's proof against requests from other sites, which every write carries.

let csrf = "";
let unauthorized = () => {};

export const setCsrf = (value) => { csrf = value ?? ""; };
export const onUnauthorized = (f) => { unauthorized = f; };

// Problem is an error of the API (RFC 9457), or a server that does not answer (status 0).
export class Problem extends Error {
  constructor(status, detail, remedy, retryAfter) {
    super(detail);
    this.status = status;
    this.remedy = remedy ?? "";
    this.retryAfter = retryAfter; // seconds; undefined if the server does not say
  }

  get words() { return this.remedy ? `${this.message}. ${this.remedy}` : this.message; }
}

// request throws a Problem unless the answer is one of success. o: body, signal, headers, quiet (a 401
// is no reason to show the login page).
async function request(method, path, o = {}) {
  const headers = { ...o.headers };
  if (o.body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["X-Sluice-Csrf"] = csrf;
  let resp;
  try {
    resp = await fetch(path, { method, headers, signal: o.signal, body: o.body === undefined ? undefined : JSON.stringify(o.body), cache: "no-store", credentials: "same-origin" });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Problem(0, String(err.message));
  }
  if (resp.status === 401 && !o.quiet) unauthorized();
  if (!resp.ok) throw await problemOf(resp);
  return resp;
}

async function problemOf(resp) {
  const wait = Number(resp.headers.get("Retry-After")) || undefined;
  try {
    const p = await resp.json();
    const faults = (p.faults ?? []).map((f) => [f.path ?? f.place, f.message ?? f.msg].filter(Boolean).join(": "));
    return new Problem(resp.status, [p.detail || p.title || resp.statusText, ...faults].join("; "), p.remedy, wait);
  } catch {
    return new Problem(resp.status, `${resp.status} ${resp.statusText}`, "", wait);
  }
}

const part = encodeURIComponent;
const json = async (...args) => (await request(...args)).json();
const get = (path, o) => json("GET", path, o);
const modelPath = (model) => `/api/v1/models/${part(model)}`;
const releasePath = (model, n) => `${modelPath(model)}/releases/${part(n)}`;

// query makes "?a=1&b=2" of what is set.
export function query(values) {
  const set = Object.entries(values ?? {}).filter(([, v]) => v !== "" && v !== undefined && v !== null && v !== false);
  return set.length === 0 ? "" : `?${new URLSearchParams(set)}`;
}

// key is a fresh idempotency key. crypto.randomUUID is missing where a page came over plain HTTP.
const key = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
const once = () => ({ "Idempotency-Key": key() });

export const loginWays = () => get("/api/v1/login", { quiet: true });
export const currentSession = () => get("/api/v1/session", { quiet: true });
export const login = (token) => json("POST", "/api/v1/session", { body: { token }, quiet: true });
export const logout = () => json("DELETE", "/api/v1/session", { quiet: true });
export const version = () => get("/api/v1/version");
export const status = () => get("/api/v1/status");
export const models = (q) => get(`/api/v1/models${query(q)}`);
export const model = (name) => get(modelPath(name));
export const releases = (name, q) => get(`${modelPath(name)}/releases${query(q)}`);
export const release = (name, n) => get(releasePath(name, n));
export const report = (name, n) => get(`${releasePath(name, n)}/report`);
export const series = (name, n, q) => get(`${releasePath(name, n)}/series${query(q)}`);
export const evidence = (name, n) => get(`${releasePath(name, n)}/evidence`);
export const auditPath = (name) => (name ? `${modelPath(name)}/audit` : "/api/v1/audit");
export const audit = (name, q) => get(`${auditPath(name)}${query(q)}`);
export const acts = (q) => get(`/api/v1/acts${query(q)}`);
export const verify = (name) => get(`${modelPath(name)}/audit/verify`);
export const simulate = (body, signal) => json("POST", "/api/v1/simulate", { body, signal });
export const tokens = (q) => get(`/api/v1/tokens${query(q)}`);
export const createToken = (body) => json("POST", "/api/v1/tokens", { body });
export const rotateToken = (id, grace) => json("POST", `/api/v1/tokens/${part(id)}:rotate`, { body: { grace } });
export const revokeToken = (id) => json("DELETE", `/api/v1/tokens/${part(id)}`);
export const start = (name, to, reason) => json("POST", `${modelPath(name)}/releases`, { body: { to, reason }, headers: once() });
export const command = (name, n, verb, body) => json("POST", `${releasePath(name, n)}:${part(verb)}`, { body, headers: once() });
export const undo = (name, reason) => json("POST", `${modelPath(name)}:undo`, { body: { reason }, headers: once() });

// stream reads the server's events until signal aborts, and comes back after every break with the id of
// the last event that it has seen, so that nothing is missed and nothing told twice. Unlike EventSource
// it tells a session that is over from a server that is away. state is told "live" or "lost".
export async function stream(signal, model, see, state) {
  let last = "";
  for (let failures = 0; !signal.aborted;) {
    try {
      const resp = await request("GET", `/api/v1/stream${query({ model })}`, { signal, headers: last ? { "Last-Event-ID": last } : {} });
      failures = 0;
      state("live");
      await events(resp.body, (event, id) => {
        if (id) last = id;
        see(event);
      });
    } catch (err) {
      if (signal.aborted || err.status === 401 || err.status === 403) return;
    }
    if (signal.aborted) return;
    state("lost");
    const wait = Math.min(15000, 500 * 2 ** failures++) * (0.7 + 0.6 * Math.random());
    await new Promise((done) => { setTimeout(done, wait); });
  }
}

async function events(body, see) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const messages = rest.split(/\r?\n\r?\n/);
    rest = messages.pop();
    for (const message of messages) {
      const field = (name) => message.split(/\r?\n/).filter((l) => l.startsWith(`${name}:`)).map((l) => l.slice(name.length + 1).trimStart());
      const data = field("data");
      if (data.length > 0) see(JSON.parse(data.join("\n")), field("id").pop());
    }
  }
}
