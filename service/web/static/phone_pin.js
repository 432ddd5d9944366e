// Choosing a PIN. docs/decisions/0015 says who may, and what it opens.
import { dayOf } from "./phone_days.js";
import { askPin, digestOf } from "./phone_lock.js";
import { page } from "./phone_page.js";
import { say } from "./phone_words.js";

const ITERATIONS = 310000;
// Long enough to choose a PIN and to be called away once.
const OFFER_MILLISECONDS = 10 * 60 * 1000;

async function choose(pin, since) {
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const digest = await digestOf(pin, salt, ITERATIONS);
  await page.store.keep("pin", { salt, iterations: ITERATIONS, digest, since, wrong: 0, until: 0 });
}

// Opens what was answered from the day `since()` on (null: everything).
function choosePin(why, since) {
  return askPin(say("Choose a PIN"), why, async (pin, again) => {
    if (!/^\d{4,8}$/.test(pin)) return say("Only digits, at least four.");
    if (pin !== again) return say("The two are not the same.");
    await choose(pin, since());
    return "";
  });
}

const today = () => dayOf(new Date());

// Part of connecting, where the clinic's code says that it is the client: once, and they may do without. Somebody else
// may open the page before they have chosen: it opens everything only in the tab of the code, and for some minutes.
export async function offerPin() {
  const offered = await page.store.kept("offerPin");
  if (!offered) return;
  const isClients = () => {
    const age = Date.now() - offered;
    return sessionStorage.offerPin === String(offered) && age >= 0 && age < OFFER_MILLISECONDS;
  };
  if (!isClients()) await openHistoryLock();
  else await choosePin(
    say("It keeps others who pick up this phone from reading your past answers, and from leaving or disconnecting in your name. You can do without one."),
    () => (isClients() ? null : today()),
  );
  await page.store.forget("offerPin");
}

// Chosen later it may be by anybody: what was answered before stays closed.
export const openHistoryLock = () =>
  choosePin(
    say("It opens what you answer from today on. Your clinic's new code opens what was before, too: anybody could choose a PIN here."),
    today,
  );
