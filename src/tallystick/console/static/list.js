// An endless list: the link to the next page works by itself, and before one reaches it.
import { say } from "./console.js";

const FRAGMENT = { "X-Tallystick-Fragment": "1" };

export async function part(url) {
  const response = await fetch(url, { headers: FRAGMENT });
  if (response.status === 401) location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

export function endless(page) {
  const body = page.querySelector("table.events tbody");
  let more = page.querySelector("a[data-more]");
  let busy = false;
  if (!body || !more) return;

  async function longer() {
    if (busy || !more) return;
    busy = true;
    more.setAttribute("aria-busy", "true");
    try {
      const found = await part(more.href);
      const rows = [...found.querySelectorAll("tbody tr")];
      body.append(...rows);
      const next = found.querySelector("a[data-more]");
      if (next) {
        more.href = next.getAttribute("href");
      } else {
        const end = document.createElement("span");
        end.className = "muted";
        end.textContent = "These are all events.";
        more.replaceWith(end);
        more = null;
      }
      say(`${rows.length} more events.`);
    } catch {
      say("The server did not answer.");
    }
    more?.removeAttribute("aria-busy");
    busy = false;
  }

  more.addEventListener("click", async (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const last = body.lastElementChild;
    await longer();
    last.nextElementSibling?.querySelector("a.told")?.focus();
  });
  new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && longer(), {
    rootMargin: "600px",
  }).observe(page.querySelector(".more-events"));
}

for (const list of document.querySelectorAll("[data-part=list]")) endless(list);
