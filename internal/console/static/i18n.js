// Languages. The dictionaries are lang/en.json and lang/zh.json and have the same keys.

const KEY = "sluice.lang";
export const languages = { en: "English", zh: "中文" };

let lang = "en";
let words = {};
let fallback = {};

function preferred() {
  const stored = localStorage.getItem(KEY);
  if (stored in languages) return stored;
  return navigator.languages.some((l) => l.toLowerCase().startsWith("zh")) ? "zh" : "en";
}

async function dictionary(name) {
  const resp = await fetch(new URL(`lang/${name}.json`, import.meta.url));
  if (!resp.ok) throw new Error(`the dictionary ${name} can't be read: ${resp.status}`);
  return resp.json();
}

export async function setLanguage(name) {
  lang = name in languages ? name : preferred();
  [words, fallback] = await Promise.all([dictionary(lang), lang === "en" ? {} : dictionary("en")]);
  if (name) localStorage.setItem(KEY, lang);
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
}

export const language = () => lang;

// t("act.abort.does", {share: "50%"}) is a text with its {names} filled in.
export function t(key, values) {
  const text = words[key] ?? fallback[key] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all)) : text;
}

// word translates a word of the API if there is one, and shows it as it is otherwise.
export function word(group, value) {
  const key = `${group}.${value}`;
  return words[key] ?? fallback[key] ?? value;
}
