// The client's page: connect once, answer, and see whether it arrived. What is wired to what; the rest has its own files.
import { answerAgain, closeAgain, closeMoment, closeView, openMoment, saveAnswer, saveMoment, showDay } from "./phone_check_in.js";
import { keepDraft } from "./phone_draft.js";
import { coverAgain, listenToCover, lock, openLock, setCovered } from "./phone_lock.js";
import { clinic, element, enter, hideCrisis, leave, link, onBack, page, show, showCrisis } from "./phone_page.js";
import { cardStays, closeQuestions, questions, questionsChanged, saveResponse } from "./phone_questions.js";
import { settleEarlier, showQueue } from "./phone_queue.js";
import { report, sendWhenItMay, then, wake } from "./phone_sending.js";
import { keepShell } from "./phone_shell.js";
import { NO_STORE, openStore } from "./phone_store.js";
import { say } from "./phone_words.js";

const on = (id, event, act) => element(id).addEventListener(event, act);

function answerChanged({ target }) {
  element("answers-fault").textContent = "";
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

// Why this phone is connected no more, also at later openings; answers that wait or were refused stay.
const ENDED = {
  lost: () =>
    `${say("This phone is no longer connected.")} ${say("Ask your clinic for a new code.")} ${say("Answers not sent yet are kept here.")}`,
  left: () => say("This phone is disconnected. What it kept is deleted, but for answers that were not sent."),
};

async function endedView(why) {
  // On a full phone it is said this once.
  await page.store.keep("why", why).catch(report);
  await connectView(ENDED[why]());
}

async function connectView(why) {
  const device = await page.store.kept("device");
  element("connect-cancel").hidden = !device;
  element("connect-why").textContent = why;
  element("connect-why").hidden = !why;
  element("code").value = link.code;
  (device ? enter : show)("connect");
  await showQueue(page.store, wake);
}

async function connect(event) {
  // First of all: sent by the browser itself, the code would stand in an address.
  event.preventDefault();
  if (page.store === NO_STORE) return;
  const part = await fetched("./phone_connection.js", "connect-fault");
  if (part) await part.connect();
}

async function endEnrolment() {
  for (const key of ["device", "today"]) await page.store.forget(key);
  page.today = null;
  questions.definition = null;
  await endedView("lost");
}

async function openHistory() {
  const isChosen = await page.store.kept("pin");
  const door = isChosen ? { openHistoryLock: openLock } : await fetched("./phone_pin.js", "history-words");
  if (door && !(await door.openHistoryLock())) return;
  enter("history");
  const part = door && (await fetched("./phone_history.js", "history-words"));
  if (part) await part.showHistory();
}

async function closeHistory() {
  element("history-place").replaceChildren();
  await closeView();
}

async function stayConnected() {
  leave();
  await coverAgain();
  await showDay();
}

const CLOSED_BY_BACK = {
  "check-in": closeAgain,
  moment: closeMoment,
  questions: closeQuestions,
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
  on("questions-form", "submit", saveResponse);
  on("questions-form", "change", questionsChanged);
  on("questions-later", "click", closeQuestions);
  on("connect-form", "submit", connect);
  on("connect-cancel", "click", stayConnected);
  on("disconnect", "click", async () => {
    const part = await fetched("./phone_connection.js", "disconnect-fault");
    if (part && (await part.disconnect())) {
      await endedView("left");
    }
  });
  on("earlier-yes", "click", () => settleEarlier(page.store, true).then(wake));
  on("history-open", "click", openHistory);
  on("history-close", "click", closeHistory);
  // A code that came by the link is not lost by choosing another language.
  on("language", "click", ({ target }) => target.href && link.code && (target.hash = link.code));
  on("this-phone", "toggle", async () => {
    const part = await fetched("./phone_reminders.js", "reminders");
    if (part) await part.showReminders();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden" && page.view === "history") closeHistory();
  });
  for (const id of ["answers", "moment-form", "questions-form"]) on(id, "input", keepDraft);
  onBack(goBack);
  listenToCover();
  sendWhenItMay();
}

// Where there is none, the page says why; what needs none works.
async function openedStore() {
  const fault = element("connect-fault");
  try {
    if (window.isSecureContext && window.indexedDB) {
      page.store = await openStore(clinic);
      return true;
    }
    fault.textContent = say("This page needs a secure address (https) and a browser that keeps its data.");
  } catch {
    fault.textContent = say("This browser keeps nothing (private mode?), so answers could be lost. Try another one.");
  }
  page.store = NO_STORE;
  listen();
  show("connect");
  return false;
}

async function start() {
  if (!(await openedStore())) return;
  then.done = showDay;
  then.ended = endEnrolment;
  lock.forgotten = async () => {
    // What the cover keeps out of sight stays so until the code is right.
    setCovered(false);
    await connectView(
      say("Ask your clinic for a new code: it opens everything again, and you choose a new PIN. Your clinic also ends monitoring when you ask."),
    );
  };
  await coverAgain();
  listen();
  if (!(await page.store.kept("device"))) {
    const why = await page.store.kept("why");
    await connectView(why ? ENDED[why]() : "");
  } else if (link.code) {
    await connectView(say("This phone is already connected. Connect it again only if your clinic asked you to."));
  } else {
    // Without a network it is offered at another opening.
    const part = (await page.store.kept("offerPin")) && (await import("./phone_pin.js").catch(() => null));
    if (part) await part.offerPin();
    questions.crisisStays = await cardStays();
    await showDay();
    // The step to a view that did not come again is gone back, or Back would seem to do nothing.
    if (!page.again && !["moment", "questions"].includes(page.view)) leave();
    if (questions.crisisStays && page.view === "check-in") showCrisis(element("crisis-place"));
    await showQueue(page.store, wake);
    await wake();
  }
}

keepShell();
start();
