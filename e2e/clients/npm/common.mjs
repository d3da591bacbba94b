// Where the gateway and the provider behind it listen; set by the Go test that starts them.
import assert from "node:assert/strict";

export const gateway = process.env.GATEWAY;
export const provider = process.env.PROVIDER;
if (!gateway || !provider) throw new Error("set GATEWAY and PROVIDER: see e2e/clients/doc_test.go");

let n = 0;
/** A word of the provider's script that counts apart from all others. */
export const word = (name) => `${name}:npm-${process.pid}-${++n}`;

/** What the provider saw of a word. */
export const seen = async (w) => (await fetch(`${provider}/seen?word=${encodeURIComponent(w)}`)).json();

/** Waits until the provider saw that the client of a word went away. */
export async function cancelled(w) {
  for (let i = 0; i < 600; i++) {
    if ((await seen(w)).cancelled) return;
    await new Promise((r) => setTimeout(r, 100));
  }
  assert.fail(`the provider still answers ${w}`);
}

export const weather = {
  name: "weather",
  description: "the weather of a city",
  schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
