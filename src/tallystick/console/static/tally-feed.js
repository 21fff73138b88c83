/* <tally-feed token="tlv_…">: the activity of one person or thing, on any page.
 *
 * Attributes: token; token-url (a page of yours that answers {"token": "…"} when one has expired);
 * limit (20); refresh (seconds, 30; 0 for never); label ("Activity"); empty ("No activity yet.").
 * Events: tally-loaded, tally-expired, tally-failed. Style it with ::part(feed event time text more note).
 */
const SERVER = new URL(import.meta.url).origin;

const STYLE = `
:host { display: block; font: inherit; color: inherit; color-scheme: light dark; }
:host([hidden]) { display: none; }
[role=feed] { margin: 0; padding: 0; }
article { padding: .6em 0; border-top: 1px solid color-mix(in srgb, currentColor 18%, transparent); overflow-wrap: anywhere; }
article:first-child { border-top: 0; }
article:focus-visible, button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; border-radius: 4px; }
p { margin: 0; }
bdi { font-weight: 600; unicode-bidi: isolate; }
.kind { font-weight: inherit; }
time { display: block; font-size: .85em; opacity: .75; }
button { font: inherit; color: inherit; background: none; border: 1px solid currentColor; border-radius: 6px; padding: .4em 1em; min-height: 2.75em; cursor: pointer; }
.note { opacity: .8; padding: .6em 0; }
`;
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);

/** Copies text and names out of a sentence's markup; nothing else of it is kept. */
function sentence(markup) {
  const place = document.createDocumentFragment();
  for (const node of new DOMParser().parseFromString(markup, "text/html").body.childNodes) {
    if (node.nodeName === "BDI") {
      const name = document.createElement("bdi");
      name.textContent = node.textContent;
      if (node.className === "kind") name.className = "kind";
      place.append(name);
    } else {
      place.append(node.textContent);
    }
  }
  return place;
}

class TallyFeed extends HTMLElement {
  static observedAttributes = ["token", "label", "limit", "refresh"];

  #root = this.attachShadow({ mode: "open" });
  #feed = document.createElement("div");
  #note = document.createElement("p");
  #more = document.createElement("button");
  #next = null;
  #token = null;
  #timer = 0;
  #asking = null;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [sheet];
    this.#feed.setAttribute("role", "feed");
    this.#feed.part = "feed";
    this.#note.className = "note";
    this.#note.part = "note";
    this.#note.setAttribute("role", "status");
    this.#more.type = "button";
    this.#more.part = "more";
    this.#more.textContent = "Show earlier activity";
    this.#more.hidden = true;
    this.#more.addEventListener("click", () => this.#earlier());
    this.#feed.addEventListener("keydown", (event) => this.#move(event));
    this.#root.append(this.#note, this.#feed, this.#more);
  }

  connectedCallback() {
    this.reload();
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    this.#asking?.abort();
  }

  attributeChangedCallback(name, before, after) {
    if (this.isConnected && before !== after) this.reload();
  }

  /** Asks for the latest events again. */
  async reload() {
    clearInterval(this.#timer);
    this.#feed.setAttribute("aria-label", this.getAttribute("label") ?? "Activity");
    this.#token = this.getAttribute("token");
    if (!this.#feed.childElementCount) this.#say("Loading …");
    await this.#show(null);
    const every = Number(this.getAttribute("refresh") ?? 30);
    if (every > 0 && this.isConnected) {
      this.#timer = setInterval(() => {
        if (!document.hidden) this.#show(null, true);
      }, Math.max(5, every) * 1000);
    }
  }

  async #ask(cursor) {
    this.#asking?.abort();
    this.#asking = new AbortController();
    const query = new URLSearchParams({ limit: this.getAttribute("limit") ?? "20" });
    if (cursor) query.set("cursor", cursor);
    const get = () =>
      fetch(`${SERVER}/v1/feed?${query}`, {
        headers: { Authorization: `Bearer ${this.#token}` },
        credentials: "omit",
        signal: this.#asking.signal,
      });
    let answer = await get();
    if (answer.status === 401 && (await this.#renewed())) answer = await get();
    if (answer.status === 401) {
      this.#tell("expired");
      throw new Error("This list can no longer be shown. Reload the page.");
    }
    if (!answer.ok) throw new Error("This list cannot be shown just now.");
    return answer.json();
  }

  async #renewed() {
    const url = this.getAttribute("token-url");
    if (!url) return false;
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok) return false;
    this.#token = (await answer.json()).token;
    return true;
  }

  async #show(cursor, quietly = false) {
    this.#feed.setAttribute("aria-busy", "true");
    try {
      const { events, next } = await this.#ask(cursor);
      const known = new Set([...this.#feed.children].map((one) => one.dataset.id));
      const fresh = events.filter((event) => !known.has(event.id)).map((event) => this.#article(event));
      if (cursor) this.#feed.append(...fresh);
      else if (quietly) this.#feed.prepend(...fresh);
      else this.#feed.replaceChildren(...events.map((event) => this.#article(event)));
      if (cursor || !quietly) this.#next = next;
      this.#number();
      this.#more.hidden = !this.#next;
      this.#say(this.#feed.childElementCount ? "" : this.getAttribute("empty") ?? "No activity yet.");
      this.#tell("loaded");
      return fresh;
    } catch (error) {
      if (error.name === "AbortError") return [];
      if (!quietly) this.#say(error instanceof TypeError ? "The server cannot be reached." : error.message);
      this.#tell("failed");
      return [];
    } finally {
      this.#feed.setAttribute("aria-busy", "false");
    }
  }

  async #earlier() {
    const [first] = await this.#show(this.#next);
    first?.focus();
  }

  #article({ id, kind, occurred_at: at, summary }) {
    const article = document.createElement("article");
    article.tabIndex = 0;
    article.part = "event";
    article.dataset.id = id;
    article.dataset.kind = kind;
    const text = document.createElement("p");
    text.part = "text";
    text.append(sentence(summary.html));
    const time = document.createElement("time");
    time.part = "time";
    time.dateTime = at;
    const when = new Date(at);
    time.textContent = Number.isNaN(when.valueOf())
      ? at
      : when.toLocaleString(this.lang || document.documentElement.lang || undefined, { dateStyle: "medium", timeStyle: "short" });
    article.append(text, time);
    text.id = `e-${id}`;
    article.setAttribute("aria-labelledby", text.id);
    return article;
  }

  #number() {
    const articles = [...this.#feed.children];
    const size = String(this.#next ? -1 : articles.length);
    articles.forEach((article, at) => {
      article.setAttribute("aria-posinset", String(at + 1));
      article.setAttribute("aria-setsize", size);
    });
  }

  #move(event) {
    const step = { PageDown: 1, PageUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = this.#root.activeElement?.closest("article");
    (step > 0 ? at?.nextElementSibling ?? this.#more : at?.previousElementSibling)?.focus();
  }

  #say(text) {
    this.#note.textContent = text;
    this.#note.hidden = !text;
  }

  #tell(what) {
    this.dispatchEvent(new CustomEvent(`tally-${what}`, { bubbles: true, composed: true }));
  }
}

if (!customElements.get("tally-feed")) customElements.define("tally-feed", TallyFeed);
