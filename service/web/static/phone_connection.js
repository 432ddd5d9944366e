// Connecting this phone by the clinic's code, and ending that. What was answered and not sent stays through both.
import { localTime } from "./phone_days.js";
import { keepCard } from "./phone_due.js";
import { mayGoOn } from "./phone_lock.js";
import { clinic, element, hideCrisis, leave, link, loadAnew, page, show, soon } from "./phone_page.js";
import { offerPin } from "./phone_pin.js";
import { wake } from "./phone_sending.js";
import { Disconnected, Refused, Unreachable, ask, askAsDevice, askAs, base64url, sendQueue, waitingAnswers } from "./phone_server.js";
import { say } from "./phone_words.js";

// So long a second tap is the answer to the question.
const ASKING_MILLISECONDS = 60 * 1000;
const PATIENCE_MILLISECONDS = 3000;

let asksAgain = false;

// Returns the id of the new device, which the phone is from now on.
async function enrol(store, code) {
  const [before, replaced] = [await store.kept("key"), await store.kept("device")];
  if (replaced) await sendBefore(store);
  // The same key for the same code: should the clinic's answer have been lost, it gives it again to this key alone.
  const key =
    before && before.code === code
      ? before.key
      : await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  // Kept before the code is spent: a phone that cannot keep keys must not use up the client's one code.
  await store.change((kept) => kept.put({ code, key }, "key"));
  const point = await crypto.subtle.exportKey("raw", key.publicKey);
  const enrolled = await ask("POST", "/v1/device/enrol", {
    body: { clinic, code, public_key: base64url(point) },
    holds: ["device_id", "refresh_token", "access_token"],
  });
  const left = (await store.kept("replaced")) || [];
  if (replaced && replaced.deviceId !== enrolled.device_id) {
    left.push(replaced);
    await soon(PATIENCE_MILLISECONDS, unsubscribe());
  }
  const device = {
    deviceId: enrolled.device_id,
    key: key.privateKey,
    refreshToken: enrolled.refresh_token,
    accessToken: enrolled.access_token,
    obtainedAt: Date.now(),
  };
  // Of this tab: see offerPin().
  sessionStorage.offerPin = Date.now();
  // Whoever has the clinic's code is the client: it ends the former PIN and the cover, too.
  // At one stroke, so that nothing of a connection before is ever seen under the new one.
  await store.change((kept) => {
    kept.clear();
    kept.put(device, "device");
    kept.put(Number(sessionStorage.offerPin), "offerPin");
    kept.put(left, "replaced");
  });
  return device.deviceId;
}

// What was answered on this phone before goes out as what it is, as far as that is known for certain and quickly done.
const sendBefore = (store) => soon(PATIENCE_MILLISECONDS, sendQueue(store, () => localTime(new Date())));

// A device that this phone was before: the clinic would show it for 90 days more. Tried again at each round.
export async function revoke(store, device) {
  try {
    await askAs(device, store, "POST", "/v1/device/revoke");
  } catch (error) {
    if (!(error instanceof Disconnected)) throw error;
  }
}

// Reminders of the connection before would still come here. Whoever is connected now subscribes anew.
async function unsubscribe() {
  const worker = navigator.serviceWorker && (await navigator.serviceWorker.getRegistration());
  const held = worker && worker.pushManager && (await worker.pushManager.getSubscription());
  if (held) await held.unsubscribe();
}

// Why this phone is asked for a code, also at later openings, or cannot be given one; answers that wait or were refused
// stay.
export const WHY = {
  insecure: () => say("This page needs a secure address (https) and a browser that keeps its data."),
  private: () => say("This browser keeps nothing (private mode?), so answers could be lost. Try another one."),
  forgotten: () =>
    say("Ask your clinic for a new code: it opens everything again, and you choose a new PIN. To leave monitoring without a PIN, ask your clinic."),
  again: () => say("This phone is already connected. Connect it again only if your clinic asked you to."),
  lost: () =>
    `${say("This phone is no longer connected.")} ${say("Ask your clinic for a new code.")} ${say("Answers not sent yet are kept here.")}`,
  left: () => say("This phone is disconnected. What it kept is deleted, but for answers that were not sent."),
};

// The end of a connection: `keys` go with it, or everything.
export async function end(store, deviceId, why, keys) {
  const ending = (said) =>
    store.whileStill(deviceId, (kept) => {
      if (keys) for (const key of ["device", ...keys]) kept.delete(key);
      else kept.clear();
      // Ended in another window, it is said already.
      if (said) kept.get("why").onsuccess = ({ target }) => target.result || kept.put(said, "why");
    });
  // A yes that was not sent has brought it, too.
  // Where another window has disconnected this phone, it is gone with everything else.
  const before = await page.store.kept("why").catch(() => "");
  if (keys && (!before || before === "lost") && !element("crisis").hidden) await keepCard().catch(() => {});
  await soon(PATIENCE_MILLISECONDS, unsubscribe());
  // On a full phone it is not said why.
  await ending(why).catch(() => ending(""));
  loadAnew();
}

function connectFault(error) {
  if (error instanceof Unreachable) return say("There is no connection to the clinic just now. Please try again.");
  if (!(error instanceof Refused)) {
    return say("This browser cannot keep the key that protects your answers. Try another one.");
  }
  if (error.status === 429) return say("Too many tries. Please wait some minutes and try again.");
  return say("This code is not right, or not any more. Check it, or ask your clinic for a new one.");
}

export async function connect() {
  if (page.busy) return;
  page.busy = true;
  const fault = element("connect-fault");
  fault.textContent = "";
  const isNew = !page.store.deviceId;
  try {
    const deviceId = await enrol(page.store, element("code").value.trim());
    // A page that was connected before stays that connection's to its end: what is still under way for it must not be
    // kept as the new one's.
    if (isNew) page.store.deviceId = deviceId;
  } catch (error) {
    fault.textContent = connectFault(error);
    element("code").focus();
    return;
  } finally {
    page.busy = false;
  }
  // Asks the browser not to clear this page's memory; some ask the client, and nothing waits for the answer.
  if (navigator.storage && navigator.storage.persist) navigator.storage.persist().catch(() => {});
  if (!isNew) {
    loadAnew();
    return;
  }
  page.today = null;
  link.code = "";
  hideCrisis();
  leave();
  show("waiting");
  await offerPin();
  await wake();
}

export async function disconnect() {
  const fault = element("disconnect-fault");
  if (!asksAgain) {
    asksAgain = true;
    setTimeout(() => {
      asksAgain = false;
      fault.textContent = "";
    }, ASKING_MILLISECONDS);
    const waiting = (await waitingAnswers(page.store)).length;
    const stays = say("Not sent yet: {count}. That stays here until you delete it.", { count: waiting });
    fault.textContent = `${say("Tap again to disconnect.")} ${waiting ? stays : ""}`.trim();
    return;
  }
  if (!(await mayGoOn("disconnect-fault"))) return;
  try {
    await askAsDevice(page.store, "POST", "/v1/device/revoke");
  } catch (error) {
    if (!(error instanceof Disconnected)) {
      fault.textContent = say("This needs a connection. Please try again.");
      return;
    }
  }
  await end(page.store, page.store.deviceId, "left");
}
