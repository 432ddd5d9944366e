// The PIN before what is the client's alone: choosing it, and asking for it. It is looked at here and nowhere else; it is
// a door for whoever picks the phone up, and encrypts nothing. docs/decisions/0015 says who may choose one, and what it
// opens.
import { dayAndTime, dayOf } from "./phone_days.js";
import { lock } from "./phone_lock.js";
import { element, page } from "./phone_page.js";
import { idOf } from "./phone_store.js";
import { say } from "./phone_words.js";

const ITERATIONS = 310000;
const SHORTEST = 4;
const FREE_TRIES = 5;
const FIRST_PAUSE_MILLISECONDS = 5 * 60 * 1000;
const LONGEST_PAUSE_MILLISECONDS = 24 * 60 * 60 * 1000;
// Long enough to choose a PIN and to be called away once.
const OFFER_MILLISECONDS = 10 * 60 * 1000;

async function digestOf(pin, salt, iterations) {
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
  // Of this connection alone: another window may connect this phone anew while the PIN is looked at.
  const deviceId = idOf(await page.store.kept("device"));
  const kept = await page.store.kept("pin");
  const note = (tries) => page.store.whileStill(deviceId, (store) => store.put({ ...kept, ...tries }, "pin"));
  if (!pauses(kept)) {
    kept.wrong += 1;
    const pause = FIRST_PAUSE_MILLISECONDS * 4 ** (kept.wrong - FREE_TRIES);
    kept.until = kept.wrong < FREE_TRIES ? 0 : Date.now() + Math.min(pause, LONGEST_PAUSE_MILLISECONDS);
    await note({});
    if ((await digestOf(pin, kept.salt, kept.iterations)) === kept.digest) {
      await note({ wrong: 0, until: 0 });
      return "";
    }
  }
  if (!kept.until) return say("Not right. Tries left: {count}.", { count: FREE_TRIES - kept.wrong });
  return say("Too many wrong ones. Next try: {when}.", { when: dayAndTime(new Date(kept.until)) });
}

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

// It comes with this part: an opening takes none of it.
function put() {
  const digits = (id, words) => {
    const properties = { id, type: "password", inputMode: "numeric", autocomplete: "off", maxLength: 8, autofocus: true };
    const input = make("input", properties);
    return [make("label", { htmlFor: id, textContent: words }), input];
  };
  const first = digits("pin-first", say("Four to eight digits"));
  first[1].setAttribute("aria-describedby", "pin-fault");
  const repeated = make("div", { id: "pin-new" });
  repeated.append(...digits("pin-again", say("The same again")));
  const fault = make("p", { id: "pin-fault", className: "fault" });
  fault.setAttribute("role", "alert");
  const form = make("form", { id: "pin-form", noValidate: true });
  form.append(
    make("h2", { id: "pin-title" }),
    make("p", { id: "pin-why" }),
    ...first,
    repeated,
    fault,
    make("button", { type: "submit", className: "big", textContent: say("Continue") }),
    make("button", { id: "pin-cancel", type: "button", className: "quiet", textContent: say("Not now") }),
    make("button", { id: "pin-old", type: "button", className: "quiet", textContent: say("I forgot my PIN") }),
  );
  const dialog = make("dialog", { id: "pin" });
  dialog.setAttribute("aria-labelledby", "pin-title");
  dialog.append(form);
  document.body.append(dialog);
}

const isHidden = () => document.body.classList.contains("covered");

// The dialog, until `judge(pin, again)` has no fault to tell; true where the door is open. `why`: of a new one.
function askPin(title, why, judge, isAboveCover) {
  if (isHidden() && !isAboveCover) return Promise.resolve(false);
  if (!element("pin")) put();
  const dialog = element("pin");
  const [first, again, fault] = ["pin-first", "pin-again", "pin-fault"].map(element);
  element("pin-title").textContent = title;
  element("pin-why").textContent = why;
  element("pin-new").hidden = !why;
  element("pin-old").hidden = Boolean(why);
  for (const input of [first, again]) input.value = "";
  fault.textContent = "";
  // Help and Hide stay in reach, but where the page is hidden already: there nothing says what it is.
  const top = document.querySelector(".top");
  if (!isHidden()) dialog.prepend(top);
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (opened) => {
      // Closed meanwhile, and opened anew for something else.
      if (dialog.onclose !== closed) return;
      dialog.onclose = null;
      dialog.close();
      document.querySelector("main").before(top);
      resolve(opened);
    };
    // By Escape, and where the page is hidden: see setCovered().
    const closed = () => end(false);
    dialog.onclose = closed;
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

export const openLock = (isAboveCover) => askPin("PIN", "", faultOf, isAboveCover);

// ---- choosing one

async function choose(pin, since) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const digest = await digestOf(pin, salt, ITERATIONS);
  // One that another window has chosen meanwhile stays.
  if (await page.store.kept("pin")) return false;
  // With it the offer of one is answered: nobody is offered to choose another in its place.
  await page.store.whileStill(page.store.deviceId, (kept) => {
    kept.put({ salt, iterations: ITERATIONS, digest, since, wrong: 0, until: 0 }, "pin");
    kept.delete("offerPin");
  });
  return true;
}

// Opens what was answered from the day `since()` on (null: everything).
function choosePin(why, since) {
  return askPin(say("Choose a PIN"), why, async (pin, again) => {
    if (!/^\d{4,8}$/.test(pin)) return say("Only digits, at least four.");
    if (pin !== again) return say("The two are not the same.");
    return (await choose(pin, since())) ? "" : say("A PIN was chosen in another window already.");
  });
}

// Whoever holds the phone may set its clock back, but not the day that the clinic told last.
const today = () => [dayOf(new Date()), (page.today && page.today.client_day) || ""].sort().at(-1);

// Part of connecting, where the clinic's code says that it is the client: once, and they may do without. Somebody else
// may open the page before they have chosen: it opens everything only in the tab of the code, and for some minutes.
export async function offerPin() {
  const offered = await page.store.kept("offerPin");
  // A page that is hidden says nothing; it is offered at another opening.
  if (!offered || isHidden()) return;
  const isClients = () => {
    const age = Date.now() - offered;
    return sessionStorage.offerPin === String(offered) && age >= 0 && age < OFFER_MILLISECONDS;
  };
  // Nor does a clock that was set back since.
  const since = () => [today(), dayOf(new Date(offered))].sort().at(-1);
  if (!isClients()) await chooseLate(since);
  else await choosePin(
    say("It keeps others who pick up this phone from reading your past answers, and from leaving or disconnecting in your name. You can do without one."),
    () => (isClients() ? null : since()),
  );
  // Whoever hid the page has not said yet that they do without one.
  if (!isHidden()) await page.store.forget("offerPin");
}

// Chosen later it may be by anybody: what was answered before stays closed.
const chooseLate = (since = today) =>
  choosePin(
    say("It opens what you answer from today on. Your clinic's new code opens what was before, too: anybody could choose a PIN here."),
    since,
  );

export const openHistoryLock = async () => ((await page.store.kept("pin")) ? openLock() : chooseLate());
