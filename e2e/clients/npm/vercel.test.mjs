import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { gateway, word, cancelled, weather } from "./common.mjs";

const openai = createOpenAI({ baseURL: `${gateway}/v1`, apiKey: "sk-test" });
const anthropic = createAnthropic({ baseURL: `${gateway}/v1`, apiKey: "sk-ant-test" });
const models = { chat: openai.chat("chat"), responses: openai.responses("chat"), messages: anthropic("claude") };

for (const [name, model] of Object.entries(models)) {
  test(`${name}: text, whole and streamed`, async () => {
    assert.equal((await generateText({ model, prompt: "hello" })).text, "Hello there!");
    const stream = streamText({ model, prompt: "hello" });
    let text = "";
    for await (const t of stream.textStream) text += t;
    assert.equal(text, "Hello there!");
    assert.equal(await stream.finishReason, "stop");
  });
}

for (const name of ["chat", "messages"]) {
  test(`${name}: tools`, async () => {
    const tools = { weather: tool({ description: weather.description, inputSchema: jsonSchema(weather.schema) }) };
    const whole = await generateText({ model: models[name], prompt: "hello", tools });
    assert.deepEqual(whole.toolCalls[0].input, { city: "Ulm" });
    const stream = streamText({ model: models[name], prompt: "hello", tools });
    await stream.consumeStream();
    assert.deepEqual((await stream.toolCalls)[0].input, { city: "Ulm" });
  });

  test(`${name}: a stream that breaks off is an error`, async () => {
    const errors = [];
    const stream = streamText({ model: models[name], prompt: "cut", maxRetries: 0, onError: ({ error }) => errors.push(error) });
    await stream.consumeStream();
    assert.equal(errors.length > 0, true);
  });

  test(`${name}: a client that leaves ends the provider's work`, async () => {
    const slow = word("slow"), stop = new AbortController();
    const stream = streamText({ model: models[name], prompt: slow, abortSignal: stop.signal, onError: () => {} });
    let n = 0;
    try {
      for await (const _ of stream.textStream) if (++n === 5) stop.abort();
    } catch (e) {
      assert.equal(e.name, "AbortError");
    }
    await cancelled(slow);
  });
}

test("an error of the gateway", async () => {
  await assert.rejects(generateText({ model: openai.chat("nobody"), prompt: "hello", maxRetries: 0 }), (e) => {
    assert.equal(e.statusCode, 502);
    assert.equal(e.data.error.code, "upstream_unreachable");
    return true;
  });
});
