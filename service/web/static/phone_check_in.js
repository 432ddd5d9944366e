// The day's questions, and "log a craving now".
import { clock, dayOf, isDay, stampOf, weekday } from "./phone_days.js";
import { fill, form, isLeft, keepDraft, keptDraft, moment, ownDraft, spend } from "./phone_draft.js";
import { cardStays, keepCard, openQuestions, questions, showDone, showDue } from "./phone_due.js";
import { asked, mark, readAnswers, readCravings, scoresOf, showCravings, showLast } from "./phone_form.js";
import { element, enter, hideCrisis, leave, page, show } from "./phone_page.js";
import { showQueue } from "./phone_queue.js";
import { report, sendSaved, wake } from "./phone_sending.js";
import { newId } from "./phone_store.js";
import { language, say } from "./phone_words.js";

async function answeredToday() {
  const answered = await page.store.kept("answeredDay");
  return answered === dayOf(new Date()) || (page.today && !page.today.due && page.today.client_day === dayOf(new Date()));
}

export async function showDay() {
  if (!page.today) page.today = (await page.store.kept("today")) || null;
  if (!isDay(page.today)) {
    show("waiting");
    return;
  }
  showNotice();
  showNextInfusion();
  const due = await showDue();
  if (page.view === "") await showDraft(due).catch(report);
  const { view } = page;
  const isOver = endYesterday();
  // "Answer again" was not meant of this day.
  if (form.day !== dayOf(new Date()) && !asked(element("answers"))) endAgain();
  if (view === "questions") await questions.part.endYesterday();
  // Never takes away what is on the screen; the questions of a new day replace an empty form.
  if (["moment", "questions", "history"].includes(view)) return;
  if (view === "check-in" && asked(element("answers")) && !isOver) return;
  // Sent in the first hours of a new day it was of the one before: its thanks stay a while.
  const isThanked = view === "done" && page.thankedAt && !isLeft(page.thankedAt);
  const isAnswered = isThanked || (await answeredToday());
  const last = await lastScores();
  // A tap meanwhile has opened another one.
  if (page.view !== view) return;
  // What nobody has heard of a day before has no time any more.
  if (isAnswered && asked(element("answers")) && (isOver || !form.stamp)) page.again = form.again = true;
  if (!page.again && isAnswered) showDone();
  else showQuestions(last);
}

const MINUTE_MILLISECONDS = 60 * 1000;

// By the clinic's clock: there it takes place, wherever this phone is, or thinks it is.
function showNextInfusion() {
  const { planned_at: plannedAt, at_clinic: atClinic = plannedAt } = page.today.next_infusion || {};
  const [instant, there] = [plannedAt, atClinic].map((text) => new Date(text));
  const words = element("next-infusion");
  words.hidden = !(instant > new Date());
  if (words.hidden) return;
  const asTold = say("Next infusion: {day}, {time}.", { day: weekday(there), time: clock(there) });
  words.textContent = Math.abs(instant - there) >= MINUTE_MILLISECONDS ? `${asTold} ${say("By the clinic's clock.")}` : asTold;
}

const ownNotice = element("monitoring").textContent;

// Who reads the answers, as long as somebody does: in this page's language.
export function showNotice() {
  const { paused, substances, monitoring, said_in: saidIn } = page.today;
  const told = saidIn === language ? monitoring : ownNotice;
  const nobody = say("Nobody looks for changes in your answers just now.");
  const yes = say("A yes to the question about safety still reaches your team.");
  const words = !substances.length ? nobody : paused ? `${nobody} ${yes}` : told;
  for (const each of document.querySelectorAll("[data-monitoring]")) each.textContent = words;
}

// A form that was left open is not the new day's, and goes: true where it did. What nobody has heard yet stays in sight,
// for the client to send or not: a note, what was used since last time, and a yes to the question of safety.
function endYesterday() {
  if (form.day === dayOf(new Date()) || !isLeft(form.touchedAt)) return false;
  const { note, safety } = element("answers").elements;
  const [words, answer] = [note.value, safety.value];
  const used = Array.from(element("used").querySelectorAll("input:checked:not([value=none])"));
  emptyForm();
  note.value = words;
  if (answer === "yes") safety.value = answer;
  for (const box of used) box.checked = true;
  element("more").open = Boolean(words || used.length) || answer === "yes";
  keepDraft();
  element("answers-fault").textContent = say("A new day has begun. Please answer for today.");
  return true;
}

const lastScores = async () => (await page.store.kept("lastScores")) || page.today.last || {};

function showQuestions(lastGiven) {
  endYesterday();
  // What is being filled in stays the day's for which it was begun, and asks what it asked.
  const isBegun = asked(element("answers"));
  const { last_infusion: last, substances } = page.today;
  if (!isBegun || !form.stamp) Object.assign(form, { day: dayOf(new Date()), substances, again: page.again });
  if (!isBegun && !substances.length) {
    show("over");
    return;
  }
  const isToday = last && form.day === page.today.client_day;
  const since = isToday ? say("Day {days} after infusion {number}.", { days: last.days_ago, number: last.number }) : "";
  element("day").textContent = weekday(new Date(`${form.day}T12:00`));
  element("day-words").textContent = `${since} ${say("About 15 seconds.")}`.trim();
  showDayCravings();
  showLast(lastGiven);
  show("check-in");
}

// Something was chosen or written. A form that was empty asks about the day on which it is begun.
export async function touchAnswers() {
  const now = new Date();
  const isNew = !form.touchedAt && form.day !== dayOf(now);
  form.touchedAt = now;
  if (isNew) {
    endAgain();
    Object.assign(form, { day: dayOf(now), again: false });
  }
  if (isNew || form.day === dayOf(now)) form.stamp = stampOf(now);
  if (isNew) showQuestions(await lastScores());
}

const showDayCravings = () => showCravings(element("cravings"), "craving", form.substances, say("strongest today"));

// The page is opened, and something was chosen here before that was not sent.
async function showDraft(due) {
  const draft = await keptDraft();
  if (!draft) return;
  Object.assign(form, draft.form);
  showDayCravings();
  fill(draft, "answers");
  page.again = draft.view === "check-in" && Boolean(await answeredToday());
  const begun = due.find(({ code }) => code === draft.code);
  if (draft.view === "questions" && begun) await openQuestions(begun);
  if (draft.view !== "moment") return;
  showMoment(draft.moment.substances);
  fill(draft, "moment-form");
  moment.touchedAt = draft.moment.touchedAt;
}

export async function answerAgain(event) {
  page.again = form.again = true;
  // Answered in another window: what stands here already is sent.
  if (page.view === "check-in") return saveAnswer(event);
  enter("check-in");
  showQuestions(await lastScores());
  window.scrollTo(0, 0);
  element("day").focus();
}

function emptyForm() {
  element("answers").reset();
  mark(element("answers"), []);
  element("answers-fault").textContent = "";
  element("more").open = false;
  page.leaveOut = "";
  form.again = form.touchedAt = form.stamp = null;
  endAgain();
  ownDraft("answers");
  keepDraft();
}

function endAgain() {
  if (page.again) leave();
  page.again = false;
}

export async function closeAgain() {
  if (!page.again) return;
  endAgain();
  showDone();
  await keepDraft();
}

// What the clinic said of answers before is not said of this one.
async function keepUnseen() {
  const today = await page.store.kept("today");
  if (today) await page.store.keep("today", { ...today, seen_at: null });
}

// Puts a body into the queue, before anything is sent; false, and words in `fault`, where the phone has no room.
// Nor is anything sent that another window has sent while this form stood here.
export async function save(body, fault, alsoKeep, stamp = stampOf(new Date()), isElsewhere = async () => false) {
  page.busy = true;
  try {
    if (await isElsewhere().catch(report)) {
      fault.textContent = say("These questions were answered in another window already. They are not sent again.");
      if (page.view === "check-in") element("again").hidden = false;
      await keepDraft();
      return false;
    }
    // The device whose form this is, whoever this phone is connected for meanwhile.
    const { deviceId } = page.store;
    const answer = { id: newId(Date.now()), deviceId, body: { ...stamp, ...body } };
    await page.store.enqueue(answer, spend(fault.closest("form").id));
    // It is saved: what is only remembered beside it may fail.
    await alsoKeep().catch(report);
    await keepUnseen().catch(() => {});
    // Before any "thank you": for this moment the line below still says that the answer before has arrived.
    await showQueue(page.store, wake).catch(report);
    return true;
  } catch {
    fault.textContent = say("This phone could not save your answer. Is its memory full? Nothing was sent; please try again.");
    return false;
  } finally {
    page.busy = false;
  }
}

export async function saveAnswer(event) {
  event.preventDefault();
  if (page.busy) return;
  // A yes goes out at this tap, with all that was answered with it, for the day on which it was.
  if (element("answers").elements.safety.value !== "yes" && endYesterday()) {
    showQuestions(await lastScores());
    return;
  }
  const { answers, missing, nothing, isBare } = readAnswers(element("answers"));
  const fault = element("answers-fault");
  if (nothing) {
    fault.textContent = say("Please answer at least one question.");
    return;
  }
  const left = missing.map((scale) => scale.words).join(", ");
  // Nor does a yes wait for what is left out.
  if (left && !answers.safety && page.leaveOut !== left) {
    page.leaveOut = left;
    fault.textContent = say("Not answered: {left}. Answer, or tap Send again to leave it out.", { left });
    mark(
      element("answers"),
      missing.map(({ scale }) => scale),
    );
    return;
  }
  const now = new Date();
  const [day, stamp] = form.stamp && form.day !== dayOf(now) ? [form.day, form.stamp] : [dayOf(now), stampOf(now)];
  // A yes waits for no second tap.
  const isElsewhere = async () =>
    !form.again && !answers.safety && (await page.store.kept("answeredDay")) === day;
  const alsoKeep = async () => {
    // Where there is no room for one, there may be for another; the card first.
    if (answers.safety) await keepCard().catch(report);
    else if (answers.safety === false) await page.store.forget("card");
    await page.store.keep("answeredDay", day);
    if (!isBare) await page.store.keep("lastScores", scoresOf(answers));
  };
  if (!(await save({ kind: "daily", ...answers }, fault, alsoKeep, stamp, isElsewhere))) return;
  emptyForm();
  hideCrisis();
  questions.crisisStays = answers.safety || (await cardStays());
  page.thankedAt = Date.now();
  await showDue();
  showDone();
  await sendSaved();
}

// ---- a moment: craving now, kept beside the day's answers

export const openMoment = () => showMoment(page.today.substances);

function showMoment(substances) {
  showCravings(element("moment-cravings"), "now", substances, say("right now"));
  element("moment-form").reset();
  element("moment-fault").textContent = "";
  Object.assign(moment, { substances, touchedAt: null });
  enter("moment");
}

export function touchMoment() {
  moment.touchedAt = new Date();
}

export async function closeMoment() {
  element("moment-form").reset();
  ownDraft("moment-form");
  await closeView();
  await keepDraft();
}

// Back to the day.
export async function closeView() {
  leave();
  if (page.again || !(await answeredToday())) showQuestions(await lastScores());
  else showDone();
}

export async function saveMoment(event) {
  event.preventDefault();
  if (page.busy) return;
  if (isLeft(moment.touchedAt)) element("moment-form").reset();
  const craving = readCravings(element("moment-form"), "now");
  const fault = element("moment-fault");
  if (!Object.keys(craving).length) {
    fault.textContent = say("Please tap a number.");
    return;
  }
  if (!(await save({ kind: "moment", craving }, fault, async () => {}))) return;
  await closeMoment();
  await sendSaved();
}
