// Checks receipts in the browser: the note's Ed25519 signature, the way to its root, every section.
// Nothing is asked of the server. Sources: C2SP signed-note and tlog-checkpoint, RFC 9162.
const utf8 = new TextEncoder();
const NAMES = { actor: "actor", target: "target", place: "place", data: "data", previous: "previous values", links: "links" };

class Refused extends Error {}

const refuse = (message) => {
  throw new Refused(message);
};

function bytes(text) {
  if (typeof text !== "string") refuse("The receipt lacks a value.");
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return refuse("A hash in the receipt is not base64.");
  }
}

const same = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);
const hex = (data) => [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function sha256(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
}

export function cannot() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle)
    return "This browser checks signatures on pages over https only. Download the receipt and run: tallystick verify";
  return null;
}

async function keyOf(text) {
  const [name, id, encoded] = [...text.split("+").slice(0, 2), text.split("+").slice(2).join("+")];
  const material = bytes(encoded ?? "");
  if (material.length !== 33 || material[0] !== 1) refuse("The key is no Ed25519 key.");
  const hash = await sha256(utf8.encode(`${name}\n`), material);
  if (hex(hash.slice(0, 4)) !== id) refuse("The key does not have the id that it names.");
  let key;
  try {
    key = await crypto.subtle.importKey("raw", material.slice(1), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    refuse("This browser does not know Ed25519 signatures. Download the receipt and run: tallystick verify");
  }
  return { name, id: hash.slice(0, 4), key };
}

async function opened(note, verifier) {
  const end = note.lastIndexOf("\n\n");
  if (end < 0) refuse("The checkpoint is not signed.");
  const text = note.slice(0, end + 1);
  let known = false;
  for (const line of note.slice(end + 2).split("\n")) {
    const match = /^\u2014 (\S+) (\S+)$/.exec(line);
    if (!match || match[1] !== verifier.name) continue;
    const signature = bytes(match[2]);
    if (!same(signature.slice(0, 4), verifier.id)) continue;
    known = await crypto.subtle.verify({ name: "Ed25519" }, verifier.key, signature.slice(4), utf8.encode(text));
    if (!known) refuse("The signature of the checkpoint is wrong.");
  }
  if (!known) refuse("The checkpoint is not signed by this key.");
  const [origin, size, root] = text.split("\n");
  if (!/^(0|[1-9]\d*)$/.test(size)) refuse("The checkpoint has no size.");
  return { origin, size: BigInt(size), root: bytes(root) };
}

async function climb(leaf, index, size, path, seen) {
  if (index < 0n || index >= size) refuse("The position is beyond the end of the log.");
  let [node, at, last] = [leaf, index, size - 1n];
  for (const [step, sibling] of path.entries()) {
    if (last === 0n) refuse("The proof is longer than the tree is high.");
    if (at % 2n === 1n || at === last) {
      node = await sha256(Uint8Array.of(1), sibling, node);
      while (at % 2n === 0n && at !== 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      node = await sha256(Uint8Array.of(1), node, sibling);
    }
    [at, last] = [at >> 1n, last >> 1n];
    seen?.(step, node);
  }
  if (last !== 0n) refuse("The proof ends below the root.");
  return node;
}

export async function verify(receipt, pinned, seen) {
  if (receipt?.format !== "tallystick-receipt/1") refuse("This is no receipt of Tallystick.");
  const verifier = await keyOf(pinned || receipt.verifier_key);
  const checkpoint = await opened(receipt.checkpoint, verifier);
  if (checkpoint.origin !== receipt.origin) refuse("The checkpoint belongs to another log.");
  const leaf = await sha256(Uint8Array.of(0), utf8.encode(receipt.entry));
  seen?.("leaf", leaf);
  const path = receipt.inclusion_proof.map(bytes);
  const root = await climb(leaf, BigInt(receipt.index), checkpoint.size, path, seen);
  if (!same(root, checkpoint.root)) refuse("The proof does not lead to the signed root.");
  seen?.("root", root);
  const entry = JSON.parse(receipt.entry);
  const names = Object.keys(entry.sections);
  if (names.sort().join() !== Object.keys(receipt.sections).sort().join()) refuse("The receipt's sections are not those of the entry.");
  const erased = [];
  for (const name of names) {
    const section = receipt.sections[name];
    if (section === null) {
      erased.push(NAMES[name] ?? name);
      continue;
    }
    const salt = bytes(section.salt);
    if (salt.length !== 16) refuse("A salt has not 16 bytes.");
    const commitment = await sha256(salt, utf8.encode(section.bytes));
    if (!same(commitment, bytes(entry.sections[name]))) refuse(`The ${NAMES[name] ?? name} is not what was recorded.`);
  }
  return { entry, size: checkpoint.size, origin: checkpoint.origin, erased, pinned: Boolean(pinned) };
}

function tell(place, kind, lines) {
  const note = document.createElement("div");
  note.className = `notice ${kind}`;
  const box = document.createElement("div");
  for (const line of lines) {
    const p = document.createElement("p");
    p.textContent = line;
    box.append(p);
  }
  note.append(box);
  place.replaceChildren(note);
}

function told(found) {
  const lines = [
    `Verified: this entry (${found.entry.kind}) is in the log with ${found.size.toLocaleString("en")} entries, unchanged since it was recorded.`,
  ];
  if (found.erased.length) lines.push(`Erased, and so not shown by anybody: ${found.erased.join(", ")}.`);
  lines.push(found.pinned ? "Signed by the key that you gave." : "Signed by the key that the receipt names. Compare it with one that you got another way.");
  return lines;
}

function onEvent(card) {
  const button = card.querySelector("[data-verify]");
  const verdict = card.querySelector(".verdict");
  button.hidden = false;
  const embedded = document.getElementById("receipt");
  // Asked for now, so that the check works when the server can no longer be reached.
  const text = embedded ? Promise.resolve(embedded.textContent) : fetch(card.dataset.receiptUrl).then((answer) => answer.text());
  text.catch(() => {});
  button.addEventListener("click", async () => {
    const reason = cannot();
    if (reason) return tell(verdict, "warn", [reason]);
    for (const item of card.querySelectorAll("[data-step]")) item.classList.remove("proven");
    const mark = (step, hash) => {
      const item = card.querySelector(`[data-step="${step}"]`);
      const shown = item?.querySelector("code.node, code:not(.sibling)");
      if (shown?.title === hex(hash)) item.classList.add("proven");
    };
    try {
      tell(verdict, "good", told(await verify(JSON.parse(await text), null, mark)));
    } catch (error) {
      tell(verdict, "bad", ["Not verified.", error instanceof Refused ? error.message : "The receipt cannot be read."]);
    }
  });
}

function onDrop(card) {
  const input = card.querySelector("input[type=file]");
  const pinned = card.querySelector("[name=pinned]");
  const verdict = card.querySelector(".verdict");
  card.querySelector("[data-scripted]").hidden = false;
  async function check(file) {
    if (!file) return;
    const reason = cannot();
    if (reason) return tell(verdict, "warn", [reason]);
    if (file.size > 16 * 2 ** 20) return tell(verdict, "bad", ["A receipt has at most 16 MiB."]);
    try {
      tell(verdict, "good", [file.name, ...told(await verify(JSON.parse(await file.text()), pinned.value.trim() || null))]);
    } catch (error) {
      tell(verdict, "bad", [`${file.name} is not verified.`, error instanceof Refused ? error.message : "This is no receipt of Tallystick."]);
    }
  }
  input.addEventListener("change", () => check(input.files[0]));
  for (const name of ["dragenter", "dragover"])
    card.addEventListener(name, (event) => {
      event.preventDefault();
      card.classList.add("over");
    });
  for (const name of ["dragleave", "drop"]) card.addEventListener(name, () => card.classList.remove("over"));
  card.addEventListener("drop", (event) => {
    event.preventDefault();
    check(event.dataTransfer.files[0]);
  });
}

for (const card of document.querySelectorAll(".proof")) onEvent(card);
for (const card of document.querySelectorAll(".drop")) onDrop(card);
