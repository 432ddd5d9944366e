// Questionnaires on the screen: opening one, closing it, and where the crisis card stands meanwhile.
import { dueNow, focusOn, listDue, markAnswered, readItems, showItems, showNeeded, urgentQuestion } from "./phone_instruments.js";
import { dayOf } from "./phone_days.js";
import { fill, keepDraft, keptDraft } from "./phone_draft.js";
import { element, enter, hideCrisis, leave, page, show, showCrisis } from "./phone_page.js";
import { save } from "./phone_check_in.js";
import { wake } from "./phone_sending.js";
import { say } from "./phone_words.js";

// The one on the screen, and whether an answer of today leaves the crisis card where it is shown afterwards.
export const questions = { due: null, definition: null, crisisStays: false };

export async function showDue() {
  const due = await dueNow(page.store, page.today);
  listDue(due, openQuestions);
  return due;
}

export async function openQuestions(due) {
  questions.due = due;
  questions.definition = due.definition;
  page.leaveOut = "";
  showItems(questions.definition);
  element("items").dataset.code = due.code;
  const draft = await keptDraft();
  if (draft && draft.code === due.code) fill(draft, "questions-form");
  showNeeded(questions.definition);
  enter("questions");
}

// The card leaves the form before the form goes, and stays in sight where an answer was urgent.
export async function closeQuestions() {
  leave();
  questions.definition = null;
  settleCrisis();
  await showDue();
  showDone();
}

// The day is answered.
export function showDone() {
  show("done");
  if (questions.crisisStays) showCrisis(element("done-crisis-place"));
}

// The card outlives the page: until the client day ends, or the page is covered or connected anew.
export const keepCard = () => page.store.keep("card", dayOf(new Date()));

export async function cardStays() {
  const stays = (await page.store.kept("card")) === dayOf(new Date());
  if (!stays) await page.store.forget("card");
  return stays;
}

function settleCrisis() {
  const question = questions.definition && urgentQuestion(questions.definition);
  if (question) showCrisis(question);
  else if (questions.crisisStays) showCrisis(element("done-crisis-place"));
  else {
    hideCrisis();
    element("done-crisis-place").append(element("crisis"));
  }
}

export function questionsChanged() {
  element("questions-fault").textContent = "";
  showNeeded(questions.definition);
  settleCrisis();
}

export async function saveResponse(event) {
  event.preventDefault();
  if (page.busy) return;
  const { answers, missing } = readItems(questions.definition);
  const fault = element("questions-fault");
  if (!Object.keys(answers).length) {
    fault.textContent = say("Please answer at least one question, or tap Not now.");
    return;
  }
  const left = missing.map(({ number }) => number).join(", ");
  if (left && page.leaveOut !== left) {
    page.leaveOut = left;
    fault.textContent = say("Not answered: question {left}. Answer, or tap Send again to leave it out.", { left });
    focusOn(missing[0].code);
    return;
  }
  const { code, version, language } = questions.definition;
  const body = { instrument: code, version, language, answers };
  const isUrgent = urgentQuestion(questions.definition);
  const saved = await save(new Date(), body, fault, async () => {
    await markAnswered(page.store, questions.due);
    if (isUrgent) await keepCard();
  });
  if (!saved) return;
  if (isUrgent) questions.crisisStays = true;
  await closeQuestions();
  element("items").replaceChildren();
  await keepDraft();
  await wake();
}
