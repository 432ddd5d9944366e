// The PIN before what is the client's alone, and the cover. The PIN is looked at here and nowhere else; it is a door for
// whoever picks the phone up, and encrypts nothing. docs/decisions/0015 says who may choose one, and what it opens.
import { dayAndTime } from "./phone_days.js";
import { keepDraft } from "./phone_draft.js";
import { element, page } from "./phone_page.js";
import { say } from "./phone_words.js";

const SHORTEST = 4;
const FREE_TRIES = 5;
const FIRST_PAUSE_MILLISECONDS = 5 * 60 * 1000;
const LONGEST_PAUSE_MILLISECONDS = 24 * 60 * 60 * 1000;
const TWICE_MILLISECONDS = 1500;

// What a forgotten PIN leads to; phone.js says.
export const lock = { forgotten: null };

export async function digestOf(pin, salt, iterations) {
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256);
  return new Uint8Array(bits).join();
}

// A pause that no changed clock makes longer than it can be.
const pauses = ({ until }) => until > Date.now() && until < Date.now() + LONGEST_PAUSE_MILLISECONDS;

// What is wrong with a PIN, in words; "" where it is right. A try is counted before it is looked at: closing the page in
// between saves none. From the fifth wrong one on, each costs a longer pause.
async function faultOf(pin) {
  if (pin.length < SHORTEST) return say("Only digits, at least four.");
  const kept = await page.store.kept("pin");
  if (!pauses(kept)) {
    kept.wrong += 1;
    const pause = FIRST_PAUSE_MILLISECONDS * 4 ** (kept.wrong - FREE_TRIES);
    kept.until = kept.wrong < FREE_TRIES ? 0 : Date.now() + Math.min(pause, LONGEST_PAUSE_MILLISECONDS);
    await page.store.change((store) => store.put(kept, "pin"));
    if ((await digestOf(pin, kept.salt, kept.iterations)) === kept.digest) {
      await page.store.change((store) => store.put({ ...kept, wrong: 0, until: 0 }, "pin"));
      return "";
    }
  }
  if (!kept.until) return say("Not right. Tries left: {count}.", { count: FREE_TRIES - kept.wrong });
  return say("Too many wrong ones. Next try: {when}.", { when: dayAndTime(new Date(kept.until)) });
}

// The dialog, until `judge(pin, again)` has no fault to tell; true where the door is open. `why`: of a new one.
export function askPin(title, why, judge) {
  const dialog = element("pin");
  const [first, again, fault] = ["pin-first", "pin-again", "pin-fault"].map(element);
  element("pin-title").textContent = title;
  element("pin-why").textContent = why;
  element("pin-new").hidden = !why;
  element("pin-old").hidden = Boolean(why);
  for (const input of [first, again]) input.value = "";
  fault.textContent = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (opened) => {
      dialog.onclose = null;
      dialog.close();
      resolve(opened);
    };
    dialog.onclose = () => resolve(false);
    element("pin-cancel").onclick = () => end(false);
    element("pin-old").onclick = () => {
      end(false);
      lock.forgotten();
    };
    element("pin-form").onsubmit = async (event) => {
      event.preventDefault();
      // One try at a time.
      if (page.busy) return;
      page.busy = true;
      fault.textContent = await judge(first.value, again.value).finally(() => {
        page.busy = false;
      });
      first.value = again.value = "";
      if (!fault.textContent) end(true);
    };
  });
}

export const openLock = () => askPin("PIN", "", faultOf);

// Whether whoever holds the phone may do what is the client's to do; anybody where there is no PIN.
export const mayGoOn = async () => !(await page.store.kept("pin")) || openLock();

// ---- the cover: one tap hides the page behind something that says nothing

export function setCovered(covered) {
  document.body.classList.toggle("covered", covered);
  document.body.classList.remove("closed");
  element("cover").hidden = !covered;
  document.title = covered ? say("Notes") : "Neap";
  if (covered) element("cover-help").replaceChildren(...element("help-card").cloneNode(true).childNodes);
}

export async function cover() {
  setCovered(true);
  window.scrollTo(0, 0);
  await page.store.change((store) => store.put(true, "covered"));
  await page.store.forget("card");
  await keepDraft();
}

async function uncover() {
  if (!(await mayGoOn())) return;
  await page.store.forget("covered");
  setCovered(false);
  await keepDraft();
}

export async function coverAgain() {
  if (await page.store.kept("covered")) setCovered(true);
}

export function listenToCover() {
  let tappedAt = -Infinity;
  element("hide").addEventListener("click", cover);
  element("uncover").addEventListener("click", async ({ timeStamp }) => {
    const isSecond = timeStamp - tappedAt < TWICE_MILLISECONDS;
    tappedAt = isSecond ? -Infinity : timeStamp;
    if (isSecond) await uncover();
  });
}
