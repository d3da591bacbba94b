// Builds elements. Text always goes in as text: nothing that the server sends can become markup.

const SVG = "http://www.w3.org/2000/svg";

// h("button.primary", {onclick: f, "aria-label": "x"}, child, ...) makes an element. Children are
// elements, texts, numbers, arrays of them; null, undefined and false are left out.
export function h(tag, props, ...children) {
  return fill(create((name) => document.createElement(name), tag, props), children);
}

// s is h for SVG.
export function s(tag, props, ...children) {
  return fill(create((name) => document.createElementNS(SVG, name), tag, props), children);
}

function create(make, tag, props) {
  const [name, ...classes] = tag.split(".");
  const el = make(name || "div");
  if (classes.length > 0) el.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [p, v] of Object.entries(value)) el.style.setProperty(p, v);
    else el.setAttribute(key, value === true ? "" : String(value));
  }
  return el;
}

function fill(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return el;
}

// replace puts new children into el without moving the reader: the scroll position stays, and the
// focus goes to the element with the same id.
export function replace(el, ...children) {
  const focused = el.contains(document.activeElement) ? document.activeElement.id : "";
  const y = window.scrollY;
  el.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (window.scrollY !== y) window.scrollTo(0, y);
}

let toastTimer = 0;

// toast tells something that has happened, also to screen readers.
export function toast(text, bad) {
  const el = document.getElementById("toast");
  el.textContent = text;
  el.className = bad ? "shown bad" : "shown";
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { el.className = ""; }, 6000);
}
