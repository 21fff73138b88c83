// Live mode: new events as they are committed. The stream says that there are some; the page asks
// for them by their position in the log, so that a pause leaves no gap.
import { say } from "./console.js";
import { part } from "./list.js";

const MOST_ROWS = 500;

export function live(page) {
  const bar = page.querySelector("[data-live]");
  const body = page.querySelector("table.events tbody");
  if (!bar || !body || !("EventSource" in globalThis)) return;
  bar.hidden = false;
  const [toggle, pause, state] = ["toggle", "pause", "state"].map((name) => bar.querySelector(`[data-${name}]`));
  let last = Number(bar.dataset.last);
  let source = null;
  let paused = false;
  let waiting = 0;
  let timer = 0;
  let asking = false;

  function show() {
    const on = source !== null;
    toggle.setAttribute("aria-pressed", String(on));
    pause.hidden = !on;
    pause.setAttribute("aria-pressed", String(paused));
    bar.classList.toggle("on", on && !paused);
    if (!on) state.textContent = "";
    else if (paused) state.textContent = `Paused, ${waiting} waiting`;
    else state.textContent = source.readyState === EventSource.OPEN ? "Live" : "Connecting …";
  }

  async function fetchNews() {
    if (asking || paused) return;
    asking = true;
    try {
      const found = await part(`/console/events/news?${page.dataset.query}&after=${last}`);
      const rows = [...found.querySelectorAll("tbody tr")];
      for (const row of rows) row.classList.add("new");
      body.prepend(...rows);
      for (const row of rows) last = Math.max(last, Number(row.dataset.index));
      last = Math.max(last, Number(found.querySelector("[data-read]")?.dataset.read ?? last));
      while (body.children.length > MOST_ROWS) body.lastElementChild.remove();
      waiting = 0;
      if (rows.length) say(rows.length === 1 ? "One new event." : `${rows.length} new events.`);
      if (found.querySelector("[data-rest]")) soon();
    } catch {
      state.textContent = "The server did not answer.";
    }
    asking = false;
    show();
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(fetchNews, 150);
  }

  function came() {
    waiting += 1;
    if (paused) show();
    else soon();
  }

  function gone(event) {
    const notice = JSON.parse(event.data);
    body.querySelector(`tr[data-id="${CSS.escape(notice.id ?? notice.subject ?? "")}"]`)?.classList.add("gone");
  }

  // The address says that the list is live, so that a reload or a link goes on with it.
  function keep(on) {
    const url = new URL(location.href);
    if (on) url.searchParams.set("live", "1");
    else url.searchParams.delete("live");
    history.replaceState(null, "", url);
  }

  toggle.addEventListener("click", () => {
    keep(source === null);
    if (source) {
      source.close();
      source = null;
      paused = false;
    } else {
      source = new EventSource(`/console/stream?${page.dataset.query}`);
      source.addEventListener("open", () => {
        show();
        soon();
      });
      source.addEventListener("error", show);
      source.addEventListener("message", came);
      for (const name of ["retract", "erase"]) source.addEventListener(name, gone);
    }
    show();
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    show();
    if (!paused) fetchNews();
  });
  if (new URLSearchParams(location.search).get("live") === "1") toggle.click();
}
