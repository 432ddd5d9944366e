// What is chosen and not sent yet. A reload, a call or a browser short of memory takes none of it; sending it, covering
// the page and, an hour after the last tap, the end of the client day do. Nothing of it is ever sent from here.
import { dayOf } from "./phone_days.js";
import { element, page } from "./phone_page.js";

const FORMS = ["answers", "moment-form", "questions-form"];
// So long after the last tap a form is still what somebody is doing; after it, "right now" was some other moment.
const LEFT_MILLISECONDS = 60 * 60 * 1000;

const drafting = { busy: false, again: false };

// Also where the phone's clock was set meanwhile; not one that was never touched.
export const isLeft = (touchedAt) => touchedAt && Math.abs(Date.now() - touchedAt) > LEFT_MILLISECONDS;

const chosenIn = (id) =>
  Array.from(element(id).elements)
    .filter(({ checked, localName, value }) => checked || (localName === "textarea" && value))
    .map(({ name, value }) => [name, value]);

async function write() {
  const forms = FORMS.map(chosenIn);
  if (element("cover").hidden && forms.some((chosen) => chosen.length)) {
    await page.store.keep("draft", { at: Date.now(), view: page.view, code: element("items").dataset.code, forms });
  } else await page.store.forget("draft");
}

// As the forms stand now; one writing at a time, the last of them with everything.
export async function keepDraft() {
  drafting.again = true;
  if (drafting.busy) return;
  drafting.busy = true;
  while (drafting.again) {
    drafting.again = false;
    await write().catch(() => {});
  }
  drafting.busy = false;
}

// This client day's or the last hour's, or nothing.
export async function keptDraft() {
  const draft = await page.store.kept("draft");
  if (!draft || (dayOf(new Date(draft.at)) !== dayOf(new Date()) && isLeft(draft.at))) return page.store.forget("draft");
  if (draft.view === "moment" && isLeft(draft.at)) draft.view = "";
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
