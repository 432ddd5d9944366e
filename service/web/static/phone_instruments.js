// Questionnaires: what is due after the check-in, its questions in their exact words, and what was answered.
import { dayOf } from "./phone_days.js";
import { element } from "./phone_page.js";
import { language, say } from "./phone_words.js";

const SECONDS_AN_ITEM = 12;

export const asking = () => import("./phone_questions.js").catch(() => null);

// Fetch what is due and not kept yet, so that it can be answered without a network.
export async function keepDefinitions(store, today, fetchOne) {
  const kept = (await store.kept("instruments")) || {};
  const missing = today.instruments.filter(({ code, version }) => (kept[code] || {}).version !== version);
  let failed;
  for (const { code } of missing) {
    try {
      kept[code] = await fetchOne(code);
      await store.keep("instruments", kept);
    } catch (error) {
      // The others are asked all the same.
      failed = error;
    }
  }
  // And with it the part that asks, for which nothing waits: a script may hang.
  if (today.instruments.length) asking();
  if (failed) throw failed;
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
      const words = entry.querySelector("p");
      words.textContent =
        minutes === 1
          ? say("{count} questions, about a minute.", { count: one.items })
          : say("{count} questions, about {minutes} minutes.", { count: one.items, minutes });
      entry.querySelector("button").addEventListener("click", async () => {
        if (!(await open(one))) words.textContent = say("This needs a connection. Please try again.");
      });
      return entry;
    }),
  );
}

// A text of the questionnaire, marked with its language: a screen reader says it right, also where the page has another.
export function inOwnWords(place, definition, field) {
  place.lang = definition.language;
  place.textContent = definition[field];
}
