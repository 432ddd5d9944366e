// What all parts of the page share: the store, the day as the clinic last told it, which view is shown, and the crisis card.

export const element = (id) => document.getElementById(id);
export const clinic = document.body.dataset.clinic;
export const page = { store: null, today: null, view: "", busy: false, leaveOut: "" };
// The code leaves the address bar, and with it the history, before anything else happens.
export const link = { code: location.hash.slice(1) };
if (location.hash) history.replaceState(null, "", location.pathname);

// Whatever is on this page, in its forms or under way was that connection's; no browser fills forms in again after this.
export const loadAnew = () => location.replace(location.pathname);

const VIEWS = ["connect", "waiting", "check-in", "moment", "done", "questions", "history", "over"];

export function show(view) {
  for (const id of VIEWS) element(id).hidden = id !== view;
  element("this-phone").hidden = view === "connect";
  element("again").hidden = view !== "done";
  element("now").hidden = !["check-in", "done"].includes(view) || !page.today.substances.length;
  element("history-open").hidden = !["done", "over"].includes(view);
  if (page.view && page.view !== view) {
    window.scrollTo(0, 0);
    element(view).querySelector("h1").focus();
  }
  page.view = view;
  // The card goes with whoever looks at another view.
  if (!element("crisis").hidden && !element(view).contains(element("crisis"))) showCrisis();
}

// A view above the day's own: Back leaves it, and not the page. After a reload the step to it is there already.
export function enter(view) {
  if (page.view !== view && (page.view || !history.state)) history.pushState(1, "");
  show(view);
}

const leaving = { byUs: false, byBack: false };

// Whatever closes such a view says so first; where Back has done it, there is nothing more to leave.
export function leave() {
  if (!history.state || leaving.byBack) return;
  leaving.byUs = true;
  history.back();
}

export function onBack(close) {
  window.addEventListener("popstate", () => {
    leaving.byBack = !leaving.byUs;
    if (leaving.byBack) close();
    leaving.byUs = leaving.byBack = false;
  });
}

// Done, failed, or left to itself after a while.
export const soon = (milliseconds, task) =>
  Promise.race([task.catch(() => {}), new Promise((go) => setTimeout(go, milliseconds))]);

// ---- the crisis card: what the page brought with it, shown without asking anybody

const cardPlace = () => element(page.view).querySelector("[id$=crisis-place]") || element(page.view);

export function showCrisis(place = cardPlace()) {
  const card = element("crisis");
  if (!card.firstChild) card.append(...element("help-card").cloneNode(true).childNodes);
  card.setAttribute("role", "alert");
  if (!card.hidden && card.parentElement === place) return;
  place.append(card);
  card.hidden = false;
  // At the lower edge of a small screen nobody would see that it came.
  card.scrollIntoView({ block: "nearest" });
}

export function hideCrisis() {
  element("crisis").hidden = true;
}
