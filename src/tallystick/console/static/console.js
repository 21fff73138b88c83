// What every page does: the theme, and the parts that a page has.
const root = document.documentElement;

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem("tallystick-theme", root.dataset.theme);
    } catch {
      // It holds for this page only.
    }
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    say("Copied.");
  });
}

const parts = { events: "./events.js", exports: "./exports.js", event: "./verify.js", log: "./verify.js", list: "./list.js" };
const page = document.querySelector("[data-part]")?.dataset.part;
if (page && parts[page]) import(parts[page]);

export function say(text) {
  document.getElementById("said").textContent = text;
}
