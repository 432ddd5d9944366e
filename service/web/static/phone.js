// The client's page: connect once, answer, and see whether it arrived.
import { clock, dayOf, dayShifted, localTime, weekday, zone } from "./phone_days.js";
import { settleEarlier, showQueue } from "./phone_queue.js";
import { newId, openStore } from "./phone_store.js";
import { Disconnected, Refused, Unreachable, askAsDevice, enrol, sendQueue, waitingAnswers } from "./phone_server.js";
import { asked, readAnswers, showCravings, showLast } from "./phone_form.js";
import { keepShell } from "./phone_shell.js";
import * as instruments from "./phone_instruments.js";

const TRY_AGAIN_MILLISECONDS = 30 * 1000;

const element = (id) => document.getElementById(id);
const clinic = document.body.dataset.clinic;

// The code leaves the address bar, and with it the history, before anything else happens.
let codeFromLink = location.hash.slice(1);
if (location.hash) history.replaceState(null, "", location.pathname);

const page = { store: null, today: null, view: "", busy: false, leaveOut: "", notBefore: 0, disconnect: false };
// The questionnaire on the screen, and whether the last check-in left the crisis card where it is shown afterwards.
const questions = { due: null, definition: null, crisisStays: false };
// All that a connection leaves on this phone beside the queue and the device.
const KEPT = ["today", "lastScores", "answeredDay", "arrivedAt", "instruments", "answeredInstruments"];

function show(view) {
  for (const id of ["connect", "waiting", "check-in", "done", "questions"]) element(id).hidden = id !== view;
  element("this-phone").hidden = view === "connect";
  element("again").hidden = view !== "done";
  if (page.view && page.view !== view) {
    window.scrollTo(0, 0);
    element(view).querySelector("h1").focus();
  }
  page.view = view;
}

// ---- the crisis card: what the page brought with it, shown without asking anybody

function showCrisis(place) {
  const card = element("crisis");
  if (!card.firstChild) card.append(...element("help-card").cloneNode(true).childNodes);
  card.setAttribute("role", "alert");
  if (card.parentElement !== place) place.append(card);
  card.hidden = false;
}

function hideCrisis() {
  element("crisis").hidden = true;
}

// ---- sending, and fetching what is due

async function exchange() {
  await sendQueue(page.store, () => localTime(new Date()));
  await showQueue(page.store, synchronise);
  const today = await askAsDevice(page.store, "GET", `/v1/today?time_zone=${encodeURIComponent(zone())}`);
  await page.store.keep("today", today);
  page.today = today;
  await instruments.keepDefinitions(page.store, today, (code) => askAsDevice(page.store, "GET", `/v1/instruments/${code}`));
}

// One tab at a time, whatever woke it; whoever comes second finds nothing left to send.
async function synchronise() {
  if (!(await page.store.kept("device")) || Date.now() < page.notBefore) return;
  try {
    await navigator.locks.request(`neap-send-${clinic}`, exchange);
  } catch (error) {
    if (error instanceof Disconnected) {
      await endEnrolment();
      return;
    }
    // Offline, or the server is busy: the answers wait, and the page says so.
    if (error instanceof Refused) page.notBefore = Date.now() + error.retryAfterSeconds * 1000;
    else if (!(error instanceof Unreachable)) throw error;
  }
  await showQueue(page.store, synchronise);
  if (page.view !== "connect") await showDay();
}

async function endEnrolment() {
  await page.store.forget("device");
  await page.store.forget("today");
  questions.definition = null;
  await connectView("This phone is no longer connected. Ask your clinic for a new code. Answers not sent yet are kept here.");
}

// ---- the day's questions

async function answeredToday() {
  const answered = await page.store.kept("answeredDay");
  return answered === dayOf(new Date()) || (page.today && !page.today.due && page.today.client_day === dayOf(new Date()));
}

async function showDay() {
  if (!page.today) page.today = (await page.store.kept("today")) || null;
  if (!page.today) {
    show("waiting");
    return;
  }
  const { next_infusion: next } = page.today;
  const planned = next ? new Date(next.planned_at) : null;
  element("monitoring").textContent = page.today.monitoring;
  element("seen").hidden = !page.today.seen_at;
  element("next-infusion").hidden = !planned;
  element("next-infusion").textContent = planned ? `Next infusion: ${weekday(planned)}, ${clock(planned)}.` : "";
  await showDue();
  // Never takes a form away that is on the screen; the questions of a new day replace an empty one.
  if (page.view === "questions") return;
  if (page.view === "check-in" && asked(element("answers"))) return;
  if (page.view !== "check-in" && (await answeredToday())) show("done");
  else await showQuestions();
}

async function showQuestions() {
  const { last_infusion: last } = page.today;
  const since = last && dayOf(new Date()) === page.today.client_day ? `Day ${last.days_ago} after infusion ${last.number}. ` : "";
  element("day").textContent = weekday(dayShifted(new Date()));
  element("day-words").textContent = `${since}About 15 seconds.`;
  showCravings(page.today.substances);
  showLast((await page.store.kept("lastScores")) || page.today.last || {});
  show("check-in");
}

function emptyForm() {
  element("answers").reset();
  element("answers-fault").textContent = "";
  element("more").open = false;
  page.leaveOut = "";
}

async function saveAnswer(event) {
  event.preventDefault();
  if (page.busy) return;
  const { answers, missing, nothing } = readAnswers(element("answers"), page.today.substances);
  const fault = element("answers-fault");
  if (nothing) {
    fault.textContent = "Please answer at least one question.";
    return;
  }
  const left = missing.map((scale) => scale.words).join(", ");
  if (left && page.leaveOut !== left) {
    page.leaveOut = left;
    fault.textContent = `Not answered: ${left}. Answer, or tap Send again to leave it out.`;
    missing[0].input.focus();
    return;
  }
  page.busy = true;
  const now = new Date();
  const device = await page.store.kept("device");
  const body = { kind: "daily", answered_at: localTime(now), time_zone: zone(), ...answers };
  try {
    await page.store.enqueue({ id: newId(now.getTime()), deviceId: device.deviceId, body });
    await page.store.keep("lastScores", { craving: answers.craving, mood: answers.mood, anxiety: answers.anxiety });
    await page.store.keep("answeredDay", dayOf(now));
  } catch {
    fault.textContent = "This phone could not save your answer. Is its memory full? Nothing was sent; please try again.";
    return;
  } finally {
    page.busy = false;
  }
  emptyForm();
  hideCrisis();
  questions.crisisStays = Boolean(answers.safety);
  await showDue();
  show("done");
  if (answers.safety) showCrisis(element("done-crisis-place"));
  await showQueue(page.store, synchronise);
  await synchronise();
}

// ---- questionnaires

async function openInstrument(due) {
  questions.due = due;
  questions.definition = (await page.store.kept("instruments"))[due.code];
  page.leaveOut = "";
  instruments.showItems(questions.definition);
  instruments.showNeeded(questions.definition);
  show("questions");
}

// The card leaves the form before the form goes, and stays in sight where an answer was urgent.
async function closeInstrument() {
  questions.definition = null;
  settleCrisis();
  await showDue();
  show("done");
}

const showDue = async () => instruments.showDue(await instruments.dueNow(page.store, page.today), openInstrument);

function settleCrisis() {
  const question = questions.definition && instruments.urgentQuestion(questions.definition);
  if (question) showCrisis(question);
  else if (questions.crisisStays) showCrisis(element("done-crisis-place"));
  else {
    hideCrisis();
    element("done-crisis-place").append(element("crisis"));
  }
}

async function saveResponse(event) {
  event.preventDefault();
  if (page.busy) return;
  const { answers, missing } = instruments.readItems(questions.definition);
  const fault = element("questions-fault");
  if (!Object.keys(answers).length) {
    fault.textContent = "Please answer at least one question, or tap Not now.";
    return;
  }
  const left = missing.map(({ number }) => number).join(", ");
  if (left && page.leaveOut !== left) {
    page.leaveOut = left;
    fault.textContent = `Not answered: question ${left}. Answer, or tap Send again to leave it out.`;
    instruments.focusOn(missing[0].code);
    return;
  }
  page.busy = true;
  const now = new Date();
  const device = await page.store.kept("device");
  const { code, version } = questions.definition;
  const body = { instrument: code, version, answered_at: localTime(now), time_zone: zone(), answers };
  try {
    await page.store.enqueue({ id: newId(now.getTime()), deviceId: device.deviceId, body });
    await instruments.markAnswered(page.store, questions.due);
  } catch {
    fault.textContent = "This phone could not save your answer. Is its memory full? Nothing was sent; please try again.";
    return;
  } finally {
    page.busy = false;
  }
  if (instruments.urgentQuestion(questions.definition)) questions.crisisStays = true;
  await closeInstrument();
  await showQueue(page.store, synchronise);
  await synchronise();
}

// ---- connecting

async function connectView(why) {
  const connected = Boolean(await page.store.kept("device"));
  element("connect-why").textContent = why;
  element("connect-why").hidden = !why;
  element("connect-cancel").hidden = !connected;
  element("code").value = codeFromLink;
  show("connect");
  await showQueue(page.store, synchronise);
}

function connectFault(error) {
  if (error instanceof Unreachable) return "There is no connection to the clinic just now. Please try again.";
  if (!(error instanceof Refused)) return "This browser cannot keep the key that protects your answers. Try another one.";
  if (error.status === 429) return "Too many tries. Please wait some minutes and try again.";
  return error.message;
}

async function connect(event) {
  event.preventDefault();
  if (page.busy) return;
  page.busy = true;
  const fault = element("connect-fault");
  fault.textContent = "";
  try {
    await enrol(page.store, clinic, element("code").value.trim());
    // Asks the browser not to clear this page's memory; some say no, and nothing can be done about that.
    if (navigator.storage && navigator.storage.persist) await navigator.storage.persist();
  } catch (error) {
    fault.textContent = connectFault(error);
    element("code").focus();
    return;
  } finally {
    page.busy = false;
  }
  for (const key of KEPT) await page.store.forget(key);
  page.today = null;
  codeFromLink = "";
  show("waiting");
  await synchronise();
}

async function disconnect() {
  const fault = element("disconnect-fault");
  const waiting = (await page.store.queue()).length;
  if (!page.disconnect) {
    page.disconnect = true;
    const lost = waiting ? ` ${waiting} not sent will be lost.` : "";
    fault.textContent = `Tap again to disconnect.${lost}`;
    return;
  }
  try {
    await askAsDevice(page.store, "POST", "/v1/device/revoke");
  } catch (error) {
    if (!(error instanceof Disconnected)) {
      fault.textContent = "This needs a connection. Please try again.";
      return;
    }
  }
  await page.store.dropAll();
  for (const key of ["device", ...KEPT]) await page.store.forget(key);
  page.disconnect = false;
  page.today = null;
  fault.textContent = "";
  await connectView("This phone is disconnected, and what it kept is deleted.");
}

// ---- start

function listen() {
  element("answers").addEventListener("submit", saveAnswer);
  element("answers").addEventListener("change", (event) => {
    element("answers-fault").textContent = "";
    if (event.target.name === "safety") {
      if (event.target.value === "yes") showCrisis(element("crisis-place"));
      else hideCrisis();
    }
    if (event.target.name === "used" && event.target.checked) {
      for (const box of document.querySelectorAll("input[name=used]")) {
        if ((box.value === "none") !== (event.target.value === "none")) box.checked = false;
      }
    }
  });
  element("questions-form").addEventListener("submit", saveResponse);
  element("questions-form").addEventListener("change", () => {
    element("questions-fault").textContent = "";
    instruments.showNeeded(questions.definition);
    settleCrisis();
  });
  element("questions-later").addEventListener("click", closeInstrument);
  element("again").addEventListener("click", async () => {
    hideCrisis();
    questions.crisisStays = false;
    page.view = "";
    await showQuestions();
    window.scrollTo(0, 0);
    element("day").focus();
  });
  element("connect-form").addEventListener("submit", connect);
  element("connect-cancel").addEventListener("click", showDay);
  element("disconnect").addEventListener("click", disconnect);
  element("earlier-yes").addEventListener("click", () => settleEarlier(page.store, true).then(synchronise));
  element("earlier-no").addEventListener("click", () => settleEarlier(page.store, false).then(synchronise));
  window.addEventListener("online", synchronise);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") synchronise();
  });
  setInterval(async () => {
    if (page.view === "waiting" || (await waitingAnswers(page.store)).length) await synchronise();
  }, TRY_AGAIN_MILLISECONDS);
}

async function start() {
  if (!window.isSecureContext || !window.indexedDB) {
    show("connect");
    element("connect-fault").textContent = "This page needs a secure address (https) and a browser that keeps its data.";
    return;
  }
  try {
    page.store = await openStore(clinic);
  } catch {
    show("connect");
    element("connect-fault").textContent = "This browser keeps nothing (private mode?), so answers could be lost. Try another one.";
    return;
  }
  listen();
  if (!(await page.store.kept("device"))) {
    await connectView("");
  } else if (codeFromLink) {
    await connectView("This phone is already connected. Connect it again only if your clinic asked you to.");
  } else {
    await showDay();
    await showQueue(page.store, synchronise);
    await synchronise();
  }
}

keepShell();
start();
