// The client's page: connect once, answer, and see whether it arrived. What is wired to what; the rest has its own files.
import {
  answerAgain,
  closeAgain,
  closeMoment,
  closeView,
  openMoment,
  saveAnswer,
  saveMoment,
  showDay,
  touchAnswers,
  touchMoment,
} from "./phone_check_in.js";
import { beingFilled, keepDraft } from "./phone_draft.js";
import { cardStays, questions } from "./phone_due.js";
import { unmark } from "./phone_form.js";
import { asksForPin, coverAgain, listenToCover, lock, setCovered } from "./phone_lock.js";
import { clinic, element, enter, hideCrisis, leave, link, onBack, page, show, showCrisis } from "./phone_page.js";
import { showQueue } from "./phone_queue.js";
import { sendWhenItMay, then, wake } from "./phone_sending.js";
import { keepShell } from "./phone_shell.js";
import { NO_STORE, openStore } from "./phone_store.js";
import { language, say } from "./phone_words.js";

const on = (id, event, act) => element(id).addEventListener(event, act);

function answerChanged({ target }) {
  element("answers-fault").textContent = "";
  unmark(target);
  if (target.name === "safety") {
    if (target.value === "yes") showCrisis(element("crisis-place"));
    else hideCrisis();
  }
  if (target.name === "used" && target.checked) {
    for (const box of document.querySelectorAll("input[name=used]")) {
      if ((box.value === "none") !== (target.value === "none")) box.checked = false;
    }
  }
}

// Connecting, history and reminders need a network anyway: they are no part of what is kept on the phone.
async function fetched(name, fault) {
  const part = await import(name).catch(() => null);
  if (!part) element(fault).textContent = say("This needs a connection. Please try again.");
  return part;
}

// Where this part cannot be had just now, the next round comes here again.
// Nor is what somebody is just answering taken from under their hands: once they tap Send it is saved, and waits.
async function ended(deviceId) {
  // Nor a code that came by a link or is being typed: with it the connection before ends anyway.
  if (page.view === "connect" || beingFilled()) return;
  await (await import("./phone_connection.js")).end(page.store, deviceId, "lost", ["today", "draft"]);
}

// Such a page has come by the network, and what says why comes by it, too.
async function whyConnect(why) {
  const part = why && (await import("./phone_connection.js").catch(() => null));
  return part ? part.WHY[why]() : "";
}

async function connectView(reason) {
  const device = await page.store.kept("device");
  element("connect-cancel").hidden = !device;
  if (link.code) element("code").value = link.code;
  (device ? enter : show)("connect");
  // No view waits for a script.
  whyConnect(reason).then((why) => {
    element("connect-why").textContent = why;
    element("connect-why").hidden = !why;
  });
  await showQueue(page.store, wake);
}

async function connect(event) {
  // First of all: sent by the browser itself, the code would stand in an address.
  event.preventDefault();
  if (page.store === NO_STORE) return;
  const part = await fetched("./phone_connection.js", "connect-fault");
  if (part) await part.connect();
}

async function openHistory() {
  const door = await fetched("./phone_pin.js", "history-words");
  if (door && !(await door.openHistoryLock())) return;
  enter("history");
  const part = door && (await fetched("./phone_history.js", "history-words"));
  if (part) await part.showHistory();
}

async function closeHistory() {
  element("history-place").replaceChildren();
  await closeView();
}

// As at an opening: with what was begun, what waits and the card.
const stayConnected = () => location.reload();

const CLOSED_BY_BACK = {
  "check-in": closeAgain,
  moment: closeMoment,
  questions: () => questions.part.close(),
  history: closeHistory,
  // Without a device it is no view above another.
  connect: () => element("connect-cancel").hidden || stayConnected(),
};

// A view whose closing says first that it is left: see leave().
function goBack() {
  const close = CLOSED_BY_BACK[page.view];
  if (close) close();
}

function listen() {
  on("answers", "submit", saveAnswer);
  on("answers", "change", answerChanged);
  on("again", "click", answerAgain);
  on("now", "click", openMoment);
  on("moment-form", "submit", saveMoment);
  on("moment-later", "click", closeMoment);
  on("questions-form", "submit", (event) => {
    event.preventDefault();
    questions.part.save();
  });
  on("questions-form", "input", (event) => questions.part.touched(event));
  on("questions-form", "change", (event) => questions.part.changed(event));
  on("questions-later", "click", () => questions.part.close());
  on("connect-form", "submit", connect);
  on("connect-cancel", "click", stayConnected);
  on("disconnect", "click", async () => {
    const part = await fetched("./phone_connection.js", "disconnect-fault");
    if (part) await part.disconnect();
  });
  on("history-open", "click", openHistory);
  on("history-close", "click", closeHistory);
  on("language", "click", ({ target }) => {
    if (!target.href) return;
    sessionStorage.language = target.hreflang;
    // A code that came by the link is not lost by choosing another language.
    if (link.code) target.hash = link.code;
  });
  on("log", "toggle", () => showQueue(page.store, wake));
  on("this-phone", "toggle", async () => {
    const part = await fetched("./phone_reminders.js", "reminders");
    if (part) await part.showReminders();
  });
  document.addEventListener("visibilitychange", () => {
    // Covered in another tab. Whoever forgot the PIN may be looking for the code.
    if (!document.body.classList.contains("closed")) coverAgain();
    if (document.visibilityState === "hidden" && page.view === "history") closeHistory();
  });
  on("answers", "input", touchAnswers);
  on("moment-form", "input", touchMoment);
  for (const id of ["answers", "moment-form"]) on(id, "input", keepDraft);
  onBack(goBack);
  // A link with a new code, followed where this page is open already.
  window.addEventListener("hashchange", () => location.hash && location.reload());
  listenToCover();
  sendWhenItMay();
}

// Where there is none, the page says why; what needs none works.
async function openedStore() {
  let why;
  try {
    if (window.isSecureContext && window.indexedDB) {
      page.store = await openStore(clinic);
      return true;
    }
    why = "insecure";
  } catch {
    why = "private";
  }
  page.store = NO_STORE;
  listen();
  show("connect");
  element("connect-fault").textContent = await whyConnect(why);
  return false;
}

async function start() {
  if (!(await openedStore())) return;
  then.done = showDay;
  then.ended = ended;
  lock.forgotten = async () => {
    const isCovered = document.body.classList.contains("covered");
    setCovered(false);
    // What the cover keeps out of sight stays so until the code is right.
    document.body.classList.toggle("closed", isCovered);
    if (isCovered) hideCrisis();
    await connectView("forgotten");
  };
  await coverAgain();
  listen();
  const wanted = new URLSearchParams(location.search).get("language");
  // Without a network comes the page that was kept, in its own language.
  if (wanted && wanted !== language) element("language-said").textContent = say("This needs a connection. Please try again.");
  // What asks for the PIN is there without a network, too, and nothing waits for it.
  if (await page.store.kept("pin")) asksForPin();
  const isConnected = await page.store.kept("device");
  if (!isConnected || link.code) {
    await connectView(isConnected ? "again" : await page.store.kept("why"));
    if (await cardStays()) showCrisis();
    if (isConnected) await wake();
  } else {
    // Without a network it is offered at another opening.
    const part = (await page.store.kept("offerPin")) && (await import("./phone_pin.js").catch(() => null));
    if (part) await part.offerPin();
    questions.crisisStays = await cardStays();
    await showDay();
    // The step to a view that did not come again is gone back, or Back would seem to do nothing.
    if (!page.again && !["moment", "questions"].includes(page.view)) leave();
    if (questions.crisisStays && element("crisis").hidden) showCrisis();
    await showQueue(page.store, wake);
    await wake();
  }
}

keepShell();
start();
