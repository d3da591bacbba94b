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

// replace puts new children into el without moving the reader. What is as it was stays the same node: a
// click whose button is drawn again between press and release would be lost otherwise, and so would what
// is marked, scrolled or in focus. So handlers of what may stay must not hold on to what was shown: they
// ask for it when they run.
export function replace(el, ...children) {
  const focused = el.contains(document.activeElement) ? document.activeElement.id : "";
  const y = window.scrollY;
  settle(el, children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== "").map((c) => (c instanceof Node ? c : document.createTextNode(String(c)))));
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (window.scrollY !== y) window.scrollTo(0, y);
}

// become makes old look as next does, with as few new nodes as possible.
export function become(old, next) {
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = next.style.cssText; // the policy allows no attribute
    else old.setAttribute(name, value);
  }
  settle(old, [...next.childNodes]);
}

// handled are elements that may have handlers: they stay only if nothing of them has changed.
const handled = new Set(["BUTTON", "INPUT", "SELECT", "TEXTAREA", "FORM", "DETAILS", "DIALOG"]);

function settle(parent, nexts) {
  const coming = new Set(nexts);
  let at = parent.firstChild;
  for (const next of nexts) {
    if (next === at) {
      at = at.nextSibling;
    } else if (!at || coming.has(at) || next.parentNode === parent) {
      parent.insertBefore(next, at);
    } else {
      const old = at;
      at = at.nextSibling;
      if (old.isEqualNode(next)) continue;
      const same = old instanceof Element && next instanceof Element && old.tagName === next.tagName && !handled.has(old.tagName) && !next.querySelector(".plot");
      if (same) become(old, next);
      else old.replaceWith(next);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
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
