import assert from "node:assert/strict";
import { test } from "node:test";
import { GoogleGenAI } from "@google/genai";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { gateway } from "./common.mjs";

test("Gemini, whole and streamed", async () => {
  const ai = new GoogleGenAI({ apiKey: "key", httpOptions: { baseUrl: gateway, apiVersion: "v1beta" } });
  const ask = { model: "gemini", contents: "hello" };
  assert.equal((await ai.models.generateContent(ask)).text, "Hello there!");
  let text = "", tokens = 0;
  for await (const c of await ai.models.generateContentStream(ask)) {
    text += c.text;
    tokens = c.usageMetadata.totalTokenCount;
  }
  assert.equal(text, "Hello there!");
  assert.equal(tokens, 12);
});

test("OpenFeature by OFREP", async () => {
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: `${gateway}/-/sluice` }));
  const client = OpenFeature.getClient();
  const got = await client.getObjectDetails("chat", {}, { targetingKey: "npm" });
  assert.equal(got.value.version, "v1");
  assert.equal(got.variant, "live");
  const none = await client.getObjectDetails("no-such-model", { version: "mine" }, { targetingKey: "npm" });
  assert.equal(none.value.version, "mine");
  assert.equal(none.errorCode, "FLAG_NOT_FOUND");
});
