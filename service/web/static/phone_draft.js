// What is chosen and not sent yet. A reload, a call or a browser short of memory takes none of it, nor does the cover,
// beneath which the form stays, too; sending it and, an hour after the last tap, the end of the client day do. Nothing of
// it is ever sent from here.
//
// With it goes whose day it is: a form that comes back is as old as it was.
import { dayOf } from "./phone_days.js";
import { element, page } from "./phone_page.js";

const FORMS = ["answers", "moment-form", "questions-form"];
// So long after the last tap a form is still what somebody is doing; after it, "right now" was some other moment.
const LEFT_MILLISECONDS = 60 * 60 * 1000;

// The day's form on the screen: the client day and the substances that it asks about, when it was last touched, and the
// time and zone of the last touch within that day, and whether it is another answer of a day that has one.
export const form = { day: "", substances: [], touchedAt: null, stamp: null, again: false };
export const moment = { substances: [], touchedAt: null };
// The questionnaire on the screen: the client day on which it was begun, when it was last touched, and the time and zone
// of the last touch within that day.
export const sheet = { day: "", touchedAt: 0, stamp: null };

// `own`: the forms that were touched here, `touchedAt` when last; of the others another tab may have kept something.
const drafting = { busy: false, again: false, own: new Set(), touchedAt: 0 };
export const ownDraft = (id, isOwn = true) => drafting.own[isOwn ? "add" : "delete"](id);

// Also where the phone's clock was set meanwhile; not one that was never touched.
export const isLeft = (touchedAt) => touchedAt && Math.abs(Date.now() - touchedAt) > LEFT_MILLISECONDS;

const chosenIn = (id) =>
  Array.from(element(id).elements)
    .filter(({ checked, localName, value }) => checked || (localName === "textarea" && value))
    .map(({ name, value }) => [name, value]);

async function write() {
  const before = withoutPast(await page.store.kept("draft")) || { forms: [[], [], []] };
  const own = FORMS.map((id, at) => drafting.own.has(id) || !before.forms[at].length);
  const forms = FORMS.map((id, at) => (own[at] ? chosenIn(id) : before.forms[at]));
  if (!forms.some((chosen) => chosen.length)) {
    await page.store.forget("draft");
    drafting.own.clear();
    return;
  }
  await page.store.keep("draft", {
    form: own[0] ? form : before.form,
    moment: own[1] ? moment : before.moment,
    code: own[2] ? element("items").dataset.code : before.code,
    sheet: own[2] ? sheet : before.sheet,
    at: drafting.touchedAt || before.at,
    view: page.view,
    forms,
  });
  // A form that is empty here is nobody's: another tab may begin it.
  FORMS.forEach((id, at) => forms[at].length || drafting.own.delete(id));
}

// Part of the writing of the answer that was made of this form.
export const spend = (id) => (kept) => {
  kept.get("draft").onsuccess = ({ target: { result } }) => {
    if (!result) return;
    result.forms[FORMS.indexOf(id)] = [];
    kept.put(result, "draft");
  };
};

// Whether somebody is in the middle of it.
export const beingFilled = () =>
  !isLeft(drafting.touchedAt) &&
  FORMS.some((id) => (page.view === "questions" || id !== "questions-form") && chosenIn(id).length);

// As the forms stand now, after a tap or a letter (`event`) or without; one writing at a time, the last of them with
// everything.
export async function keepDraft(event) {
  if (event) {
    drafting.touchedAt = Date.now();
    ownDraft(event.target.form.id);
  }
  drafting.again = true;
  if (drafting.busy) return;
  drafting.busy = true;
  while (drafting.again) {
    drafting.again = false;
    await write().catch(() => {});
  }
  drafting.busy = false;
}

// Of another client day than today's, and left since.
export const isPast = (at, day = dayOf(new Date(at))) => isLeft(at) && day !== dayOf(new Date());

// This client day's or the last hour's; what is older holds the day's form alone, of which endYesterday() leaves what
// nobody has heard yet. A questionnaire has its own age: taps in the day's form make it no younger.
function withoutPast(draft) {
  if (!draft) return draft;
  if (isPast(draft.at)) Object.assign(draft, { view: "", forms: [draft.forms[0], [], draft.forms[2]] });
  const { touchedAt, day } = draft.sheet || {};
  if (isPast(touchedAt || draft.at, day)) Object.assign(draft, { code: "", forms: [...draft.forms.slice(0, 2), []] });
  return draft;
}

export async function keptDraft() {
  const draft = withoutPast(await page.store.kept("draft"));
  if (!draft) return draft;
  if (!draft.form || !draft.forms.some((chosen) => chosen.length)) return page.store.forget("draft");
  drafting.touchedAt = draft.at;
  if (draft.view === "moment" && isLeft(draft.moment.touchedAt)) draft.view = "";
  return draft;
}

// Puts what was chosen back, as if it were tapped again: what hangs on an answer, as the crisis card, comes with it.
export function fill(draft, id) {
  for (const [name, value] of draft.forms[FORMS.indexOf(id)]) {
    for (const input of document.getElementsByName(name)) {
      const isText = input.localName === "textarea";
      if (isText) input.value = value;
      else if (input.value === value) input.checked = true;
      else continue;
      if (isText || name === "used") element("more").open = true;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }
}
