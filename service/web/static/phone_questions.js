// Questionnaires on the screen: opening one, closing it, and where the crisis card stands meanwhile.
import * as instruments from "./phone_instruments.js";
import { element, hideCrisis, page, show, showCrisis } from "./phone_page.js";
import { save } from "./phone_check_in.js";
import { wake } from "./phone_sending.js";
import { say } from "./phone_words.js";

// The one on the screen, and whether the last check-in left the crisis card where it is shown afterwards.
export const questions = { due: null, definition: null, crisisStays: false };

export const showDue = async () => instruments.showDue(await instruments.dueNow(page.store, page.today), open);

async function open(due) {
  questions.due = due;
  questions.definition = (await page.store.kept("instruments"))[due.code];
  page.leaveOut = "";
  instruments.showItems(questions.definition);
  instruments.showNeeded(questions.definition);
  show("questions");
}

// The card leaves the form before the form goes, and stays in sight where an answer was urgent.
export async function close() {
  questions.definition = null;
  settleCrisis();
  await showDue();
  show("done");
}

function settleCrisis() {
  const question = questions.definition && instruments.urgentQuestion(questions.definition);
  if (question) showCrisis(question);
  else if (questions.crisisStays) showCrisis(element("done-crisis-place"));
  else {
    hideCrisis();
    element("done-crisis-place").append(element("crisis"));
  }
}

export function changed() {
  element("questions-fault").textContent = "";
  instruments.showNeeded(questions.definition);
  settleCrisis();
}

export async function saveResponse(event) {
  event.preventDefault();
  if (page.busy) return;
  const { answers, missing } = instruments.readItems(questions.definition);
  const fault = element("questions-fault");
  if (!Object.keys(answers).length) {
    fault.textContent = say("Please answer at least one question, or tap Not now.");
    return;
  }
  const left = missing.map(({ number }) => number).join(", ");
  if (left && page.leaveOut !== left) {
    page.leaveOut = left;
    fault.textContent = say("Not answered: question {left}. Answer, or tap Send again to leave it out.", { left });
    instruments.focusOn(missing[0].code);
    return;
  }
  const { code, version } = questions.definition;
  const body = { instrument: code, version, answers };
  if (!(await save(new Date(), body, fault, () => instruments.markAnswered(page.store, questions.due)))) return;
  if (instruments.urgentQuestion(questions.definition)) questions.crisisStays = true;
  await close();
  await wake();
}
