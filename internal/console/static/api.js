// The client of the REST API. The token lives in this tab's session storage and nowhere else.

const KEY = "sluice.token";
let unauthorized = () => {};

export const token = () => sessionStorage.getItem(KEY);
export const setToken = (value) => sessionStorage.setItem(KEY, value);
export const forgetToken = () => sessionStorage.removeItem(KEY);
export const onUnauthorized = (f) => { unauthorized = f; };

// Problem is an error of the API (RFC 9457), or a server that does not answer (status 0).
export class Problem extends Error {
  constructor(status, detail, remedy) {
    super(detail);
    this.status = status;
    this.remedy = remedy ?? "";
  }
}

async function request(method, path, body, signal) {
  const headers = { Authorization: `Bearer ${token() ?? ""}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let resp;
  try {
    resp = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store", credentials: "omit" });
  } catch (err) {
    if (err.name === "AbortError") throw err;
    throw new Problem(0, String(err.message));
  }
  if (resp.status === 401) {
    forgetToken();
    unauthorized();
  }
  if (!resp.ok) throw await problemOf(resp);
  return resp;
}

async function problemOf(resp) {
  try {
    const p = await resp.json();
    return new Problem(resp.status, p.detail || p.title || resp.statusText, p.remedy);
  } catch {
    return new Problem(resp.status, `${resp.status} ${resp.statusText}`);
  }
}

const part = encodeURIComponent;
const json = async (...args) => (await request(...args)).json();
const modelPath = (model) => `/api/v1/models/${part(model)}`;
const releasePath = (model, n) => `${modelPath(model)}/releases/${part(n)}`;

export const whoami = () => json("GET", "/api/v1/whoami");
export const version = () => json("GET", "/api/v1/version");
export const models = () => json("GET", "/api/v1/models");
export const model = (name) => json("GET", modelPath(name));
export const releases = (name) => json("GET", `${modelPath(name)}/releases`);
export const release = (name, n) => json("GET", releasePath(name, n));
export const report = (name, n) => json("GET", `${releasePath(name, n)}/report`);
export const audit = (name) => json("GET", `${modelPath(name)}/audit`);
export const verify = (name) => json("GET", `${modelPath(name)}/audit/verify`);
export const tokens = () => json("GET", "/api/v1/tokens");
export const createToken = (body) => json("POST", "/api/v1/tokens", body);
export const revokeToken = (id) => json("DELETE", `/api/v1/tokens/${part(id)}`);
export const command = (name, n, verb, reason) => json("POST", `${releasePath(name, n)}:${part(verb)}`, { reason });
export const undo = (name, reason) => json("POST", `${modelPath(name)}:undo`, { reason });

// stream reads the server's events until signal aborts, and comes back after every break. EventSource
// can't send the Authorization header, so the few rules of the format are followed here. state is told
// "live" or "lost".
export async function stream(signal, see, state) {
  for (let failures = 0; !signal.aborted;) {
    try {
      const resp = await request("GET", "/api/v1/stream", undefined, signal);
      failures = 0;
      state("live");
      await events(resp.body, see);
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
      const data = message.split(/\r?\n/).filter((l) => l.startsWith("data:")).map((l) => l.slice(5).trimStart());
      if (data.length > 0) see(JSON.parse(data.join("\n")));
    }
  }
}
