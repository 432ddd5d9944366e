// When the queue is sent: on load, on a save, when the network or the page comes back, and by a timer.
//
// The timer is no ornament. A page that was loaded without a network takes itself to be online in some browsers
// (Chromium's `navigator.onLine` begins anew as true with each document), so that `online` never comes.
import { isDay, localTime, zone } from "./phone_days.js";
import { beingFilled } from "./phone_draft.js";
import { scoresOf } from "./phone_form.js";
import { keepDefinitions } from "./phone_instruments.js";
import { clinic, loadAnew, page } from "./phone_page.js";
import { showQueue } from "./phone_queue.js";
import { Disconnected, Refused, Unreachable, abandonRequests, askAsDevice, sendQueue, waitingAnswers } from "./phone_server.js";
import { language } from "./phone_words.js";

const FIRST_WAIT_MILLISECONDS = 1000;
// Without a network a try costs nothing; a clinic that does answer, but not well, is left in peace for longer.
const MOST_OFFLINE_MILLISECONDS = 4 * 1000;
const MOST_MILLISECONDS = 60 * 1000;
const LONGEST_REST_SECONDS = 10 * 60;

// `notBefore` on the page's own clock, which nobody sets.
const sending = { wait: FIRST_WAIT_MILLISECONDS, notBefore: 0, timer: 0 };
// What the other parts do when a round is over, and when this phone is connected no more; phone.js says.
export const then = { done: null, ended: null };

// Apart: no answer waits for what the clinic has to say, and that for no answer which something in between dislikes.
async function exchange() {
  const passed = await alone("send", () => sendQueue(page.store, () => localTime(new Date())));
  await holdingTaps(() => showQueue(page.store, wake));
  await alone("hear", hear);
  for (const error of passed) throw error;
}

async function hear() {
  const today = await askAsDevice(page.store, "GET", `/v1/today?time_zone=${encodeURIComponent(zone())}`);
  if (!isDay(today)) throw new Unreachable();
  // Of the last answer nothing but what the scales mark: a note has no place on this phone once it is sent.
  if (today.last) today.last = scoresOf(today.last);
  today.said_in = language;
  page.today = today;
  // On a full phone it is shown all the same.
  await page.store.keep("today", today).catch(report);
  const replaced = (await page.store.kept("replaced")) || [];
  const isOther = today.language !== language || sessionStorage.language;
  // Nothing waits for these, and what goes wrong there is for another time.
  if (!today.due || today.reminder_zone || isOther || replaced.length) {
    import("./phone_after.js").then((part) => part.follow(today, replaced)).catch(report);
  }
  await keepDefinitions(page.store, today, (code) => askAsDevice(page.store, "GET", `/v1/instruments/${code}`));
}

const HELD_MILLISECONDS = 350;

// What arrives moves what stands below it: for a moment no tap lands on what has just come under the finger.
async function holdingTaps(act) {
  const main = document.querySelector("main");
  const before = main.offsetHeight;
  await act();
  if (main.offsetHeight === before) return;
  document.body.classList.add("held");
  clearTimeout(sending.held);
  sending.held = setTimeout(() => document.body.classList.remove("held"), HELD_MILLISECONDS);
}

// For whoever looks at the console; the page goes on.
export function report(error) {
  console.warn(error);
}

// One tab at a time. Old browsers have no locks: two tabs may send the same answer, which is stored once.
const alone = (name, task) => (navigator.locks ? navigator.locks.request(`neap-${name}-${clinic}`, task) : task());

async function tryAgainLater(most) {
  clearTimeout(sending.timer);
  const wanted = page.view === "waiting" || (await waitingAnswers(page.store)).length;
  if (!wanted) return;
  // Not all phones at the same moment when a clinic's server comes back.
  const wait = Math.max(sending.wait * (0.75 + Math.random() / 2), sending.notBefore - performance.now());
  sending.timer = setTimeout(synchronise, wait);
  sending.wait = Math.min(sending.wait * 2, most);
}

// Whatever woke it; whoever comes second finds nothing left to send.
async function synchronise() {
  let most = MOST_MILLISECONDS;
  if (page.store.deviceId && performance.now() >= sending.notBefore) {
    try {
      await exchange();
      sending.wait = FIRST_WAIT_MILLISECONDS;
    } catch (error) {
      if (error instanceof Disconnected) {
        await then.ended(error.deviceId);
        return;
      }
      // Offline, or the server is busy: the answers wait, and the page says so.
      if (error instanceof Refused) {
        const rest = Math.min(error.retryAfterSeconds, LONGEST_REST_SECONDS);
        sending.notBefore = performance.now() + rest * 1000;
      } else if (error instanceof Unreachable) most = error.atOnce ? MOST_OFFLINE_MILLISECONDS : MOST_MILLISECONDS;
      else report(error);
    }
  }
  // Another tab connected this phone, or ended that: what stands here is perhaps somebody else's.
  if (await page.store.isReplaced()) {
    if (await page.store.kept("device")) loadAnew();
    else await then.ended(null).catch(loadAnew);
  } else if (page.store.deviceId) await roundIsOver(most);
}

async function roundIsOver(most) {
  await holdingTaps(async () => {
    await showQueue(page.store, wake);
    if (page.view !== "connect") await then.done();
  });
  await tryAgainLater(most);
}

// Something changed for the better, or somebody is looking: at once, and again soon.
export async function wake() {
  sending.wait = FIRST_WAIT_MILLISECONDS;
  await synchronise();
}

// What was just answered is tried once, whatever rest the clinic's server asked for: it may be what nobody should wait for.
export async function sendSaved() {
  sending.notBefore = 0;
  // Nor for an earlier request that hangs, as where the phone has just left a house with its Wi-Fi.
  abandonRequests();
  await wake();
}

export function sendWhenItMay() {
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", ({ persisted }) => persisted && wake());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());
}
