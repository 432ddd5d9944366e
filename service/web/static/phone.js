// The client's page: connect once, answer, and see whether it arrived. What is wired to what; the rest has its own files.
import * as checkIn from "./phone_check_in.js";
import * as lock from "./phone_lock.js";
import { clinic, element, hideCrisis, link, page, show, showCrisis } from "./phone_page.js";
import * as questions from "./phone_questions.js";
import { settleEarlier, showQueue } from "./phone_queue.js";
import { sendWhenItMay, then, wake } from "./phone_sending.js";
import { keepShell } from "./phone_shell.js";
import { openStore } from "./phone_store.js";
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

async function connectView(why) {
  element("connect-cancel").hidden = !(await page.store.kept("device"));
  element("connect-why").textContent = why;
  element("connect-why").hidden = !why;
  element("code").value = link.code;
  show("connect");
  await showQueue(page.store, wake);
}

async function connect(event) {
  event.preventDefault();
  const part = await fetched("./phone_connection.js", "connect-fault");
  if (part) await part.connect();
}

// This phone is connected no more; answers that wait or were refused stay.
async function endEnrolment(why) {
  for (const key of ["device", "today", "pin"]) await page.store.forget(key);
  page.today = null;
  questions.questions.definition = null;
  await connectView(`${why} ${say("Ask your clinic for a new code.")} ${say("Answers not sent yet are kept here.")}`);
}

async function openHistory() {
  if (!(await lock.open())) return;
  show("history");
  const part = await fetched("./phone_history.js", "history-words");
  if (part) await part.showHistory();
}

async function closeHistory() {
  element("history-place").replaceChildren();
  await checkIn.closeMoment();
}

function listen() {
  on("answers", "submit", checkIn.saveAnswer);
  on("answers", "change", answerChanged);
  on("again", "click", checkIn.answerAgain);
  on("now", "click", checkIn.openMoment);
  on("moment-form", "submit", checkIn.saveMoment);
  on("moment-later", "click", checkIn.closeMoment);
  on("questions-form", "submit", questions.saveResponse);
  on("questions-form", "change", questions.changed);
  on("questions-later", "click", questions.close);
  on("connect-form", "submit", connect);
  on("connect-cancel", "click", checkIn.showDay);
  on("disconnect", "click", async () => {
    const part = await fetched("./phone_connection.js", "disconnect-fault");
    if (part && (await part.disconnect())) {
      await connectView(say("This phone is disconnected. What it kept is deleted, but for answers that were not sent."));
    }
  });
  on("earlier-yes", "click", () => settleEarlier(page.store, true).then(wake));
  on("earlier-no", "click", () => settleEarlier(page.store, false).then(wake));
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
  lock.listenToCover();
  sendWhenItMay();
}

async function start() {
  const fault = element("connect-fault");
  if (!window.isSecureContext || !window.indexedDB) {
    show("connect");
    fault.textContent = say("This page needs a secure address (https) and a browser that keeps its data.");
    return;
  }
  try {
    page.store = await openStore(clinic);
  } catch {
    show("connect");
    fault.textContent = say("This browser keeps nothing (private mode?), so answers could be lost. Try another one.");
    return;
  }
  then.done = checkIn.showDay;
  then.ended = () => endEnrolment(say("This phone is no longer connected."));
  lock.lock.out = () => endEnrolment(say("Five wrong PINs: for safety this phone is disconnected."));
  await lock.coverAgain();
  listen();
  if (!(await page.store.kept("device"))) {
    await connectView("");
  } else if (link.code) {
    await connectView(say("This phone is already connected. Connect it again only if your clinic asked you to."));
  } else {
    await checkIn.showDay();
    await showQueue(page.store, wake);
    await wake();
  }
}

keepShell();
start();
