// Questionnaires: what is due after the check-in, its questions in their exact words, and what was answered.
import { dayOf } from "./phone_days.js";
import { element } from "./phone_page.js";
import { language, say } from "./phone_words.js";

const SECONDS_AN_ITEM = 12;

const optionsOf = (definition, item) => item.options || definition.options;

// Fetch what is due and not kept yet, so that it can be answered without a network.
export async function keepDefinitions(store, today, fetchOne) {
  const kept = (await store.kept("instruments")) || {};
  const missing = today.instruments.filter(({ code, version }) => (kept[code] || {}).version !== version);
  for (const { code } of missing) kept[code] = await fetchOne(code);
  if (missing.length) await store.keep("instruments", kept);
}

// In the page's language where it was translated; `language` says in whose words it is.
function worded(definition) {
  const words = definition.translations[language];
  if (!words) return definition;
  const items = definition.items.map((item, at) => ({ ...item, ...words.items[at] }));
  return { ...definition, ...words, items, language };
}

// What is due on this phone's day, is kept here, and was not answered here already.
export async function dueNow(store, today) {
  const kept = (await store.kept("instruments")) || {};
  const answered = (await store.kept("answeredInstruments")) || {};
  return (today.instruments || [])
    .filter(
      ({ code, version, since, until }) =>
        kept[code] && kept[code].version === version && until >= dayOf(new Date()) && answered[code] !== since,
    )
    .map((one) => ({ ...one, definition: worded(kept[one.code]) }));
}

export async function markAnswered(store, { code, since }) {
  await store.keep("answeredInstruments", { ...((await store.kept("answeredInstruments")) || {}), [code]: since });
}

export function listDue(due, open) {
  element("due").hidden = !due.length;
  const list = element("due-list");
  const shown = due.map(({ code, since }) => `${code} ${since}`).join();
  // A list that is the same is left alone: a finger may be on its way to it.
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  list.replaceChildren(
    ...due.map((one) => {
      const entry = element("due-item").content.cloneNode(true);
      const minutes = Math.ceil((one.items * SECONDS_AN_ITEM) / 60);
      inOwnWords(entry.querySelector("button"), one.definition, "asks");
      entry.querySelector("p").textContent =
        minutes === 1
          ? say("{count} questions, about a minute.", { count: one.items })
          : say("{count} questions, about {minutes} minutes.", { count: one.items, minutes });
      entry.querySelector("button").addEventListener("click", () => open(one));
      return entry;
    }),
  );
}

// A text of the questionnaire, marked with its language: a screen reader says it right, also where the page has another.
function inOwnWords(place, definition, field) {
  place.lang = definition.language;
  place.textContent = definition[field];
}

// Put the questions on the page, nothing chosen beforehand.
export function showItems(definition) {
  inOwnWords(element("questions-title"), definition, "asks");
  inOwnWords(element("questions-lead"), definition, "lead");
  inOwnWords(element("questions-source"), definition, "attribution");
  element("questions-foreign").hidden = definition.language.split("-")[0] === language;
  element("questions-fault").textContent = "";
  element("items").lang = definition.language;
  element("items").replaceChildren(
    ...definition.items.map((item) => {
      const question = element("question").content.cloneNode(true);
      question.querySelector("legend").textContent = item.text;
      question.querySelector("fieldset").dataset.item = item.code;
      question.querySelector(".choices").append(
        ...optionsOf(definition, item).map(({ value, text }) => {
          const choice = element("choice").content.cloneNode(true);
          const input = choice.querySelector("input");
          input.name = `item.${item.code}`;
          input.value = value;
          choice.querySelector("span").textContent = text;
          return choice;
        }),
      );
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
export function showNeeded(definition) {
  for (const item of definition.items) {
    element("items").querySelector(`[data-item="${item.code}"]`).hidden = needless(item);
  }
}

// The first urgent answer's question, where the crisis contacts belong; null where there is none.
export function urgentQuestion(definition) {
  const found = definition.urgent.find(({ item, above }) => valueOf(item) !== null && valueOf(item) > above);
  return found ? element("items").querySelector(`[data-item="${found.item}"]`) : null;
}

// What is chosen, as the server wants it, and the numbers of the questions left out.
export function readItems(definition) {
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

export function focusOn(code) {
  document.querySelector(`input[name="item.${code}"]`).focus();
}
