// What the guide's pages can do beside being read: keep the theme and the language, copy a command.
import { applyTheme, nextTheme, theme, themeSign } from "./theme.js";

applyTheme();

const button = document.getElementById("theme");

function label() {
  button.textContent = themeSign();
  button.title = button.dataset.label;
  button.setAttribute("aria-label", `${button.dataset.label}: ${button.dataset[theme()]}`);
}

label();
button.hidden = false;
button.addEventListener("click", () => { nextTheme(); label(); });

document.getElementById("lang")?.addEventListener("click", (event) => localStorage.setItem("sluice.lang", event.currentTarget.lang));

// On a narrow screen the list of pages starts closed.
if (matchMedia("(max-width: 900px)").matches) document.querySelector(".pages details").open = false;

for (const pre of document.querySelectorAll("article pre")) {
  pre.tabIndex = 0; // it may scroll: the keyboard must reach it
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", button.dataset.code);
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "quiet small copy";
  copy.textContent = button.dataset.copy;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.querySelector("code")?.textContent ?? pre.textContent);
      copy.textContent = "✓";
    } catch { // no permission, or no secure context: mark the text instead
      getSelection().selectAllChildren(pre);
    }
    setTimeout(() => { copy.textContent = button.dataset.copy; }, 1500);
  });
  const box = document.createElement("div");
  box.className = "code";
  pre.replaceWith(box);
  box.append(pre, copy);
}
