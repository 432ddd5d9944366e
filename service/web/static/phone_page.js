// What all parts of the page share: the store, the day as the clinic last told it, and which view is shown.

export const element = (id) => document.getElementById(id);
export const clinic = document.body.dataset.clinic;
export const page = { store: null, today: null, view: "", busy: false, leaveOut: "" };
// All that a connection leaves on this phone beside the queue, the device and the PIN.
export const KEPT = ["today", "lastScores", "answeredDay", "arrivedAt", "sentLog", "instruments", "answeredInstruments"];

const VIEWS = ["connect", "waiting", "check-in", "moment", "done", "questions", "history"];

export function show(view) {
  for (const id of VIEWS) element(id).hidden = id !== view;
  element("this-phone").hidden = view === "connect";
  element("again").hidden = view !== "done";
  element("now").hidden = !["check-in", "done"].includes(view);
  element("history-open").hidden = view !== "done";
  if (page.view && page.view !== view) {
    window.scrollTo(0, 0);
    element(view).querySelector("h1").focus();
  }
  page.view = view;
}
