// The crisis card: what the page brought with it, shown without asking anybody.
import { element } from "./phone_page.js";

export function showCrisis(place) {
  const card = element("crisis");
  if (!card.firstChild) card.append(...element("help-card").cloneNode(true).childNodes);
  card.setAttribute("role", "alert");
  if (card.parentElement !== place) place.append(card);
  card.hidden = false;
}

export function hideCrisis() {
  element("crisis").hidden = true;
}
