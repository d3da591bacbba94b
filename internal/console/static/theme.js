// Light or dark: as the system says, or as somebody chose for this browser.
const KEY = "sluice.theme";
const themes = ["auto", "light", "dark"];
const signs = { auto: "◐", light: "☀", dark: "☾" };

export function theme() {
  const stored = localStorage.getItem(KEY);
  return themes.includes(stored) ? stored : "auto";
}

export const themeSign = () => signs[theme()];

export function applyTheme() {
  document.documentElement.dataset.theme = theme();
}

// nextTheme goes on to the next choice.
export function nextTheme() {
  localStorage.setItem(KEY, themes[(themes.indexOf(theme()) + 1) % themes.length]);
  applyTheme();
}
