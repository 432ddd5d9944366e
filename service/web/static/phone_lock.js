// The PIN before the client's own history, and the cover. The PIN is looked at here and nowhere else; it is a door for
// whoever picks the phone up, and encrypts nothing.
import { element, page } from "./phone_page.js";
import { say } from "./phone_words.js";

const ITERATIONS = 310000;
const MOST_WRONG = 5;
const SHORTEST = 4;
const TWICE_MILLISECONDS = 1500;

// What happens after too many wrong ones; phone.js says.
export const lock = { out: null };

async function digestOf(pin, salt, iterations) {
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(pin), "PBKDF2", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 256);
  return new Uint8Array(bits).join();
}

async function choose(pin) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const digest = await digestOf(pin, salt, ITERATIONS);
  await page.store.keep("pin", { salt, iterations: ITERATIONS, digest, wrong: 0 });
}

// "right", "wrong" or "out". A try is counted before it is looked at: closing the page in between saves none.
async function look(pin, kept) {
  const wrong = kept.wrong + 1;
  await page.store.keep("pin", { ...kept, wrong });
  if ((await digestOf(pin, kept.salt, kept.iterations)) === kept.digest) {
    await page.store.keep("pin", { ...kept, wrong: 0 });
    return "right";
  }
  return wrong >= MOST_WRONG ? "out" : "wrong";
}

// Ask for the PIN, or let one be chosen where there is none; true where the door is open.
export async function openLock() {
  const dialog = element("pin");
  const [first, again, fault] = ["pin-first", "pin-again", "pin-fault"].map(element);
  const isNew = !(await page.store.kept("pin"));
  element("pin-new").hidden = !isNew;
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
    element("pin-form").onsubmit = async (event) => {
      event.preventDefault();
      const pin = first.value;
      if (pin.length < SHORTEST) fault.textContent = say("At least four digits.");
      else if (isNew && pin !== again.value) fault.textContent = say("The two are not the same.");
      else if (isNew) {
        await choose(pin);
        end(true);
      } else {
        const kept = await page.store.kept("pin");
        const result = await look(pin, kept);
        first.value = "";
        if (result === "right") end(true);
        else if (result === "out") {
          end(false);
          await lock.out();
        } else fault.textContent = say("Not right. Tries left: {count}.", { count: MOST_WRONG - kept.wrong - 1 });
      }
    };
  });
}

// ---- the cover: one tap hides the page behind something that says nothing

function setCovered(covered) {
  document.body.classList.toggle("covered", covered);
  element("cover").hidden = !covered;
  document.title = covered ? say("Notes") : "Neap";
  if (covered) element("cover-help").replaceChildren(...element("help-card").cloneNode(true).childNodes);
}

export async function cover() {
  setCovered(true);
  window.scrollTo(0, 0);
  await page.store.keep("covered", true);
}

async function uncover() {
  if ((await page.store.kept("pin")) && !(await openLock())) return;
  await page.store.forget("covered");
  setCovered(false);
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
