// The page of exports: while a file is being written, the list follows.
import { part } from "./list.js";

const place = document.querySelector("[data-part=exports]");

async function follow() {
  if (document.hidden || place.contains(document.activeElement)) return soon();
  try {
    const found = (await part("/console/exports")).querySelector("[data-part=exports]");
    if (!found) return soon();
    place.querySelector(".main-column").replaceWith(found.querySelector(".main-column"));
    if ("moving" in found.dataset) soon();
  } catch {
    soon();
  }
}

function soon() {
  setTimeout(follow, 2000);
}

if ("moving" in place.dataset) soon();
