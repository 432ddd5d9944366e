// A questionnaire on the screen: its questions in their exact words, opening and closing it, and where the crisis card
// stands meanwhile.
import { closeView, save as saveBody } from "./phone_check_in.js";
import { dayOf, stampOf } from "./phone_days.js";
import { fill, isPast, keepDraft, keptDraft, ownDraft, sheet } from "./phone_draft.js";
import { keepCard, questions, showDone, showDue } from "./phone_due.js";
import { mark, unmark } from "./phone_form.js";
import { inOwnWords, markAnswered } from "./phone_instruments.js";
import { element, enter, hideCrisis, leave, page, showCrisis } from "./phone_page.js";
import { report, sendSaved } from "./phone_sending.js";
import { language, say } from "./phone_words.js";

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

const optionsOf = (definition, item) => item.options || definition.options;

let asked = null;

export async function show(due) {
  asked = due;
  questions.definition = due.definition;
  page.leaveOut = "";
  showItems(questions.definition);
  element("items").dataset.code = due.code;
  const draft = await keptDraft();
  emptySheet();
  // What was begun in the time of the questions before these is no answer to them.
  const isBegun = draft && draft.code === due.code && !((draft.sheet || {}).day < due.since);
  if (isBegun) {
    fill(draft, "questions-form");
    Object.assign(sheet, draft.sheet);
  }
  showNeeded(questions.definition);
  enter("questions");
  if (isBegun) await keepDraft();
  // What was begun of others keeps its place until something is tapped here.
  else ownDraft("questions-form", false);
}

const emptySheet = () => Object.assign(sheet, { day: "", touchedAt: 0, stamp: null });

// The card leaves the form before the form goes, and stays in sight where an answer is urgent, sent or not.
function takeCardOut() {
  if (questions.definition && urgentQuestion(questions.definition)) questions.crisisStays = true;
  questions.definition = null;
  settleCrisis();
}

export async function close() {
  leave();
  takeCardOut();
  await showDue().catch(report);
  showDone();
  await keepDraft();
}

// What was tapped yesterday and left is no answer of today's, and goes: true where it did. What is asked today is listed
// anew.
export async function endYesterday() {
  // What is urgent stays for the client to send.
  if (!isYesterdays() || (questions.definition && urgentQuestion(questions.definition))) return false;
  takeCardOut();
  emptyItems();
  await closeView();
  const isAsked = page.view === "check-in";
  element("answers-fault").textContent = isAsked ? say("A new day has begun. Please answer for today.") : "";
  await keepDraft();
  return true;
}

function emptyItems() {
  element("items").replaceChildren();
  emptySheet();
  ownDraft("questions-form");
}

function settleCrisis() {
  const question = questions.definition && urgentQuestion(questions.definition);
  if (question) showCrisis(question);
  else if (questions.crisisStays || document.querySelector("input[name=safety][value=yes]:checked")) showCrisis();
  else {
    hideCrisis();
    element("done-crisis-place").append(element("crisis"));
  }
}

const isYesterdays = () => isPast(sheet.touchedAt, sheet.day);

// Before `changed`.
export function touched(event) {
  const now = new Date();
  if (!sheet.touchedAt) sheet.day = dayOf(now);
  if (!isYesterdays()) {
    sheet.touchedAt = Number(now);
    if (sheet.day === dayOf(now)) sheet.stamp = stampOf(now);
  }
  return keepDraft(event);
}

export async function changed({ target }) {
  if (await endYesterday()) return;
  unmark(target);
  element("questions-fault").textContent = "";
  showNeeded(questions.definition);
  settleCrisis();
}

export async function save() {
  if (page.busy || (await endYesterday())) return;
  const isUrgent = urgentQuestion(questions.definition);
  const { answers, missing } = readItems(questions.definition);
  const fault = element("questions-fault");
  if (!Object.keys(answers).length) {
    fault.textContent = say("Please answer at least one question, or tap Not now.");
    return;
  }
  const left = missing.map(({ number }) => number).join(", ");
  // What is urgent waits for no second tap.
  if (left && !isUrgent && page.leaveOut !== left) {
    page.leaveOut = left;
    fault.textContent = say("Not answered: question {left}. Answer, or tap Send again to leave it out.", { left });
    mark(
      element("items"),
      missing.map(({ code }) => questionOf(code)),
    );
    return;
  }
  // Back may close it while the phone is asked.
  const { code, version, language } = questions.definition;
  const body = { instrument: code, version, language, answers };
  const due = asked;
  // A store that cannot be read just now stops no answer: what cannot be kept, either, is said there.
  const isElsewhere = async () => !isUrgent && ((await page.store.kept("answeredInstruments")) || {})[code] === due.since;
  const alsoKeep = async () => {
    if (isUrgent) await keepCard().catch(report);
    await markAnswered(page.store, due);
  };
  // Begun a moment before the day ended, it is that day's.
  const stamp = sheet.stamp && sheet.day !== dayOf(new Date()) ? sheet.stamp : undefined;
  if (!(await saveBody(body, fault, alsoKeep, stamp, isElsewhere))) return;
  await close();
  emptyItems();
  await keepDraft();
  await sendSaved();
}

// ---- the questions themselves

// Put the questions on the page, nothing chosen beforehand.
function showItems(definition) {
  inOwnWords(element("questions-title"), definition, "asks");
  inOwnWords(element("questions-lead"), definition, "lead");
  inOwnWords(element("questions-source"), definition, "attribution");
  const foreign = element("questions-foreign");
  foreign.hidden = definition.language.split("-")[0] === language;
  foreign.textContent = say("These questions are not there in your language yet. Your care team will gladly go through them with you.");
  element("questions-fault").textContent = "";
  element("items").lang = definition.language;
  element("items").replaceChildren(
    ...definition.items.map((item) => {
      const question = make("fieldset");
      question.dataset.item = item.code;
      const choices = make("div", { className: "choices" });
      choices.append(
        ...optionsOf(definition, item).map(({ value, text }) => {
          const choice = make("label", { className: "score" });
          choice.append(make("input", { type: "radio", name: `item.${item.code}`, value }), make("span", { textContent: text }));
          return choice;
        }),
      );
      question.append(make("legend", { textContent: item.text }), choices);
      return question;
    }),
  );
}

function valueOf(code) {
  const input = document.querySelector(`input[name="item.${code}"]:checked`);
  return input ? Number(input.value) : null;
}

const needless = ({ unless }) => Boolean(unless) && valueOf(unless.item) === unless.value;

// Take away what need not be asked any more, and bring back what must be.
function showNeeded(definition) {
  for (const item of definition.items) {
    questionOf(item.code).hidden = needless(item);
  }
}

// The first urgent answer's question, where the crisis contacts belong; null where there is none.
function urgentQuestion(definition) {
  const found = definition.urgent.find(({ item, above }) => valueOf(item) !== null && valueOf(item) > above);
  return found ? questionOf(found.item) : null;
}

// What is chosen, as the server wants it, and the numbers of the questions left out.
function readItems(definition) {
  const answers = {};
  const missing = [];
  for (const [index, item] of definition.items.entries()) {
    if (needless(item)) continue;
    const value = valueOf(item.code);
    if (value === null) missing.push({ number: index + 1, code: item.code });
    else answers[item.code] = value;
  }
  return { answers, missing };
}

const questionOf = (code) => element("items").querySelector(`[data-item="${code}"]`);
