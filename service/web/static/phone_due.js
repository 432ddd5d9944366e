// What is left to do today beside the check-in, the view of a day that is answered, and how long the crisis card stays.
import { dayEnd } from "./phone_days.js";
import { asking, dueNow, listDue } from "./phone_instruments.js";
import { element, page, show, showCrisis } from "./phone_page.js";

// `definition`: of the one on the screen; `part`: what asks it. `crisisStays`: whether an answer of today leaves the
// crisis card where it is shown afterwards.
export const questions = { definition: null, part: null, crisisStays: false };

export async function showDue() {
  const due = await dueNow(page.store, page.today);
  listDue(due, openQuestions);
  return due;
}

// False where the part that asks is not on this phone, and no network either.
export async function openQuestions(due) {
  questions.part = await asking();
  if (questions.part) await questions.part.show(due);
  return Boolean(questions.part);
}

// The day is answered.
export function showDone() {
  show("done");
  if (questions.crisisStays) showCrisis();
}

// The card outlives the page: until the client day ends and for six hours at least, or until the page is covered or
// connected anew.
const CARD_MILLISECONDS = 6 * 60 * 60 * 1000;

// Also where the connection has ended in another window, but not where this phone is somebody else's by now.
export async function keepCard() {
  const isConnected = await page.store.kept("device");
  const until = Math.max(dayEnd(new Date()), Date.now() + CARD_MILLISECONDS);
  await page.store.whileStill(isConnected ? page.store.deviceId : null, (kept) => kept.put(until, "card"));
}

export async function cardStays() {
  const stays = (await page.store.kept("card")) > Date.now();
  if (!stays) await page.store.forget("card");
  return stays;
}
