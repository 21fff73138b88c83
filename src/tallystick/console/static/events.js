// The page of events: parts that come later, the endless list, zooming, completion.
import { endless, part } from "./list.js";
import { live } from "./live.js";

const page = document.querySelector("[data-part=events]");
const FRAGMENT = { "X-Tallystick-Fragment": "1" };

// Parts beside the list: asked for one by one, each when its panel is open.
async function fill(place) {
  if (place.dataset.state) return;
  place.dataset.state = "loading";
  const loading = place.querySelector(".loading");
  if (loading) loading.hidden = false;
  try {
    const found = await part(place.dataset.fill);
    place.replaceChildren(...found.body.childNodes);
    place.dataset.state = "filled";
    const plot = place.querySelector(".plot");
    if (plot) zoomable(plot);
    const grouping = place.querySelector("form[data-at-once]");
    if (grouping) atOnce(grouping);
  } catch {
    place.dataset.state = "";
    const note = document.createElement("p");
    note.className = "notice bad";
    note.textContent = "The server did not answer. Open this part again to retry.";
    place.replaceChildren(note);
  }
}

// A choice takes effect by itself; without scripts its button does that.
function atOnce(form) {
  form.querySelector("[data-plain]").hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  });
}

for (const panel of page.querySelectorAll("details.panel")) {
  const name = "chart" in panel.dataset ? "chart" : "facets";
  const key = `tallystick-${name}`;
  const small = matchMedia("(max-width: 60rem)").matches;
  let open = !(name === "facets" && small);
  try {
    const kept = localStorage.getItem(key);
    if (kept && !(name === "facets" && small)) open = kept === "open";
  } catch {
    // It is shown.
  }
  panel.open = open;
  const place = panel.querySelector("[data-fill]");
  if (open) fill(place);
  panel.addEventListener("toggle", () => {
    if (panel.open) fill(place);
    if (name === "facets" && small) return;
    try {
      localStorage.setItem(key, panel.open ? "open" : "shut");
    } catch {
      // It is not remembered.
    }
  });
}

endless(page);
live(page);

// Only what is filled in stands in the address.
const finder = page.querySelector("form.finder");
finder.addEventListener("submit", () => {
  const chosen = finder.elements.range.value;
  finder.elements.q.value = finder.elements.q.value.trim();
  for (const field of finder.elements) {
    if (field.name && (!field.value || (chosen && (field.name === "from" || field.name === "to")))) field.disabled = true;
  }
});
addEventListener("pageshow", () => {
  for (const field of finder.elements) field.disabled = false;
});
finder.elements.range.addEventListener("change", () => finder.requestSubmit());
for (const name of ["from", "to"]) {
  finder.elements[name].addEventListener("input", () => {
    finder.elements.range.value = "";
  });
}

// Dragging over the chart chooses a time range.
function zoomable(plot) {
  const figure = plot.closest("figure");
  const brush = plot.querySelector(".brush");
  const [from, to] = [Number(figure.dataset.from), Number(figure.dataset.to)];
  let start = null;
  const share = (event) => {
    const box = plot.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  const draw = (a, b) => {
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    sheet.replaceSync(`.brush { left: ${low * 100}%; width: ${(high - low) * 100}%; }`);
    brush.hidden = high - low < 0.005;
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = share(event);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => start !== null && draw(start, share(event)));
  plot.addEventListener("pointercancel", () => {
    start = null;
    brush.hidden = true;
  });
  plot.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [low, high] = [Math.min(start, share(event)), Math.max(start, share(event))];
    start = null;
    if (high - low < 0.005) return;
    const url = new URL(location.href);
    url.pathname = "/console";
    for (const name of ["range", "cursor"]) url.searchParams.delete(name);
    url.searchParams.set("from", String(Math.floor(from + low * (to - from))));
    url.searchParams.set("to", String(Math.ceil(from + high * (to - from))));
    location.assign(url);
  });
}

// Completion: a combobox as the ARIA Authoring Practices describe it.
const input = finder.elements.q;
const list = document.createElement("ul");
list.id = "suggestions";
list.className = "suggestions";
list.setAttribute("role", "listbox");
list.setAttribute("aria-label", "Suggestions");
list.hidden = true;
input.closest(".find").append(list);
for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id })) input.setAttribute(name, value);

let suggestions = [];
let chosen = -1;
let asking = null;
let timer = 0;

function shut() {
  list.hidden = true;
  chosen = -1;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function choose(at) {
  chosen = at;
  [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === at)));
  if (at < 0) input.removeAttribute("aria-activedescendant");
  else {
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  }
}

function take(at) {
  const [text, start] = suggestions[at];
  const caret = input.selectionStart;
  const rest = input.value.slice(caret);
  const tail = text.endsWith(":") || rest.startsWith(" ") ? "" : " ";
  input.value = input.value.slice(0, start) + text + tail + rest;
  const end = start + text.length + tail.length;
  input.setSelectionRange(end, end);
  shut();
  if (text.endsWith(":")) suggest();
}

async function suggest() {
  asking?.abort();
  asking = new AbortController();
  const query = new URLSearchParams({ q: input.value, at: String(input.selectionStart) });
  try {
    const response = await fetch(`/console/events/complete?${query}`, { headers: FRAGMENT, signal: asking.signal });
    suggestions = response.ok ? await response.json() : [];
  } catch {
    return;
  }
  if (document.activeElement !== input || !suggestions.length) return shut();
  list.replaceChildren(
    ...suggestions.map(([text, , note], n) => {
      const item = document.createElement("li");
      item.id = `suggestion-${n}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const name = document.createElement("bdi");
      name.textContent = text;
      const hint = document.createElement("span");
      hint.textContent = note;
      item.append(name, hint);
      item.addEventListener("pointerdown", (event) => event.preventDefault());
      item.addEventListener("click", () => take(n));
      return item;
    }),
  );
  chosen = -1;
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(suggest, 120);
});
input.addEventListener("blur", shut);
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && list.hidden) suggest();
  if (list.hidden) return;
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in moves) {
    event.preventDefault();
    const count = suggestions.length + 1;
    choose(((chosen + 1 + moves[event.key] + count) % count) - 1);
  } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
    event.preventDefault();
    take(chosen);
  } else if (event.key === "Escape") {
    event.preventDefault();
    shut();
  }
});
