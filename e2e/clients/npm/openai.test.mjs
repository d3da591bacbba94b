import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { gateway, word, seen, cancelled, weather } from "./common.mjs";

const client = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "sk-test", maxRetries: 2 });
const ask = (content, more = {}) => ({ model: "chat", user: "npm", messages: [{ role: "user", content }], ...more });
const tools = [{ type: "function", function: { name: weather.name, description: weather.description, parameters: weather.schema } }];

test("chat", async () => {
  const { data, response } = await client.chat.completions.create(ask("hello")).withResponse();
  assert.equal(data.choices[0].message.content, "Hello there!");
  assert.equal(data.usage.prompt_tokens_details.cached_tokens, 4);
  assert.ok(response.headers.get("x-sluice-id"));
  assert.equal(data._request_id, "req_scripted");
});

test("chat, streamed: the usage chunk that the client did not ask for is not there", async () => {
  const chunks = [];
  for await (const c of await client.chat.completions.create(ask("hello", { stream: true }))) chunks.push(c);
  assert.equal(chunks.map((c) => c.choices[0].delta.content ?? "").join(""), "Hello there!");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
});

test("chat, streamed with usage", async () => {
  let usage;
  for await (const c of await client.chat.completions.create(ask("hello", { stream: true, stream_options: { include_usage: true } }))) usage = c.usage ?? usage;
  assert.equal(usage.completion_tokens, 3);
});

test("tools, whole and streamed", async () => {
  const whole = await client.chat.completions.create(ask("hello", { tools }));
  assert.deepEqual(JSON.parse(whole.choices[0].message.tool_calls[0].function.arguments), { city: "Ulm" });
  const runner = client.chat.completions.stream(ask("hello", { tools }));
  const last = await runner.finalChatCompletion();
  assert.deepEqual(JSON.parse(last.choices[0].message.tool_calls[0].function.arguments), { city: "Ulm" });
  assert.equal(last.choices[0].finish_reason, "tool_calls");
});

test("responses, whole and streamed", async () => {
  assert.equal((await client.responses.create({ model: "chat", input: "hello" })).output_text, "Hello there!");
  let text = "";
  const kinds = [];
  for await (const e of await client.responses.create({ model: "chat", input: "hello", stream: true })) {
    kinds.push(e.type);
    if (e.type === "response.output_text.delta") text += e.delta;
  }
  assert.equal(text, "Hello there!");
  assert.equal(kinds.at(-1), "response.completed");
});

test("embeddings and models", async () => {
  const e = await client.embeddings.create({ model: "chat", input: "hello", encoding_format: "float" });
  assert.deepEqual(e.data[0].embedding, [0.5, -0.25]);
  assert.equal((await client.models.list()).data[0].id, "scripted-1");
});

test("an error of the provider keeps its class and words", async () => {
  await assert.rejects(client.chat.completions.create(ask(word("bad"))), (e) => {
    assert.ok(e instanceof OpenAI.BadRequestError);
    assert.match(e.message, /bad is not a request/);
    assert.equal(e.headers.get("x-sluice-error"), null);
    return true;
  });
});

test("retries: 429 with retry-after-ms, 503", async () => {
  const busy = word("busy");
  assert.equal((await client.chat.completions.create(ask(busy))).choices[0].message.content, "Hello there!");
  assert.deepEqual(await seen(busy), { requests: 3, cancelled: false, keys: "0;1;2;" });
  const down = word("down");
  assert.equal((await client.chat.completions.create(ask(down))).choices[0].message.content, "Hello there!");
  assert.equal((await seen(down)).requests, 2);
});

test("an error of the gateway is an error of the library, told apart", async () => {
  await assert.rejects(client.chat.completions.create({ ...ask("hello"), model: "nobody" }, { maxRetries: 0 }), (e) => {
    assert.ok(e instanceof OpenAI.InternalServerError);
    assert.equal(e.status, 502);
    assert.equal(e.code, "upstream_unreachable");
    assert.equal(e.type, "sluice_upstream_unreachable");
    assert.equal(e.headers.get("x-sluice-error"), "upstream_unreachable");
    return true;
  });
});

const drain = async (stream) => {
  let text = "";
  for await (const c of stream) text += c.choices?.[0]?.delta?.content ?? c.delta ?? "";
  return text;
};

test("a stream that breaks off is an error, not a short answer", async () => {
  await assert.rejects(async () => drain(await client.chat.completions.create(ask("cut", { stream: true }))), (e) => {
    assert.ok(e instanceof OpenAI.APIError);
    assert.match(`${e.message} ${e.code}`, /upstream_truncated|before it was complete/);
    return true;
  });
  await assert.rejects(async () => drain(await client.responses.create({ model: "chat", input: "cut", stream: true })), (e) => {
    assert.ok(e instanceof OpenAI.APIError);
    return true;
  });
});

test("a stream that fails is an error with the provider's words", async () => {
  await assert.rejects(async () => drain(await client.chat.completions.create(ask("fail", { stream: true }))), /CUDA out of memory/);
});

test("a client that leaves ends the provider's work", async () => {
  const slow = word("slow");
  const stream = await client.chat.completions.create(ask(slow, { stream: true }));
  let n = 0;
  for await (const _ of stream) if (++n === 5) break; // the library aborts the request
  await cancelled(slow);
});

test("the language model of examples/llm", async () => {
  const body = { model: "wordnet-lm", prompt: "rename: assign a", max_tokens: 4, temperature: 0, user: "npm" };
  const whole = await client.completions.create(body);
  let text = "", usage = null;
  for await (const c of await client.completions.create({ ...body, stream: true })) {
    text += c.choices[0].text;
    usage = c.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].text);
  assert.ok(whole.usage.completion_tokens > 0);
  assert.equal(usage, null);
});
