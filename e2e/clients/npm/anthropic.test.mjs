import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { gateway, word, seen, cancelled, weather } from "./common.mjs";

const client = new Anthropic({ baseURL: gateway, apiKey: "sk-ant-test", maxRetries: 2 });
const ask = (content, more = {}) => ({
  model: "claude", max_tokens: 64, metadata: { user_id: "npm" }, system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
  messages: [{ role: "user", content }], ...more,
});
const tools = [{ name: weather.name, description: weather.description, input_schema: weather.schema }];

test("messages", async () => {
  const { data, response } = await client.messages.create(ask("hello")).withResponse();
  assert.equal(data.content[0].text, "Hello there!");
  assert.equal(data.usage.cache_read_input_tokens, 4);
  assert.ok(response.headers.get("x-sluice-id"));
});

test("messages, streamed", async () => {
  const stream = client.messages.stream(ask("hello"));
  let text = "";
  stream.on("text", (t) => (text += t));
  const last = await stream.finalMessage();
  assert.equal(text, "Hello there!");
  assert.equal(last.stop_reason, "end_turn");
  assert.equal(last.usage.output_tokens, 3);
});

test("tools, whole and streamed", async () => {
  assert.deepEqual((await client.messages.create(ask("hello", { tools }))).content[0].input, { city: "Ulm" });
  const last = await client.messages.stream(ask("hello", { tools })).finalMessage();
  assert.deepEqual(last.content[0].input, { city: "Ulm" });
  assert.equal(last.stop_reason, "tool_use");
});

test("count tokens", async () => {
  const n = await client.messages.countTokens({ model: "claude", messages: [{ role: "user", content: "hello" }] });
  assert.equal(n.input_tokens, 14);
});

test("errors keep their class; retries obey the provider", async () => {
  await assert.rejects(client.messages.create(ask(word("bad"))), (e) => e instanceof Anthropic.BadRequestError && /bad is not a request/.test(e.message));
  const busy = word("busy");
  assert.equal((await client.messages.create(ask(busy))).content[0].text, "Hello there!");
  assert.equal((await seen(busy)).requests, 3);
  await assert.rejects(client.messages.create({ ...ask("hello"), model: "nobody" }, { maxRetries: 0 }), (e) => {
    assert.ok(e instanceof Anthropic.APIError);
    assert.equal(e.status, 502);
    assert.match(e.message, /sluice_upstream_unreachable/);
    return true;
  });
});

test("a stream that breaks off or fails is an error", async () => {
  await assert.rejects(client.messages.stream(ask("cut")).finalMessage(), /before it was complete|sluice_upstream_truncated/);
  await assert.rejects(client.messages.stream(ask("fail")).finalMessage(), /[Oo]verloaded/);
});

test("a client that leaves ends the provider's work", async () => {
  const slow = word("slow");
  const stream = client.messages.stream(ask(slow));
  let n = 0;
  try {
    for await (const _ of stream) if (++n === 8) stream.abort();
  } catch (e) {
    assert.ok(e instanceof Anthropic.APIUserAbortError);
  }
  await cancelled(slow);
});
