// Connecting this phone by the clinic's code, and ending that. What was answered and not sent stays through both.
import { mayGoOn } from "./phone_lock.js";
import { KEPT, clinic, element, leave, link, page, show } from "./phone_page.js";
import { offerPin } from "./phone_pin.js";
import { wake } from "./phone_sending.js";
import { Disconnected, Refused, Unreachable, ask, askAsDevice, base64url, waitingAnswers } from "./phone_server.js";
import { say } from "./phone_words.js";

let asksAgain = false;

async function enrol(store, code) {
  const before = await store.kept("key");
  // The same key for the same code: should the clinic's answer have been lost, it gives it again to this key alone.
  const key =
    before && before.code === code
      ? before.key
      : await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  // Kept before the code is spent: a phone that cannot keep keys must not use up the client's one code.
  await store.keep("key", { code, key });
  const point = await crypto.subtle.exportKey("raw", key.publicKey);
  const enrolled = await ask("POST", "/v1/device/enrol", { body: { clinic, code, public_key: base64url(point) } });
  await store.keep("device", {
    deviceId: enrolled.device_id,
    key: key.privateKey,
    refreshToken: enrolled.refresh_token,
    accessToken: enrolled.access_token,
    obtainedAt: Date.now(),
  });
  await store.forget("key");
  // Whoever has the clinic's code is the client: it ends the former PIN and the cover.
  for (const key of ["pin", "covered"]) await store.forget(key);
  // Of this tab: see offerPin().
  sessionStorage.offerPin = Date.now();
  await store.keep("offerPin", Number(sessionStorage.offerPin));
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
  try {
    await enrol(page.store, element("code").value.trim());
    // Asks the browser not to clear this page's memory; some say no, and nothing can be done about that.
    if (navigator.storage && navigator.storage.persist) await navigator.storage.persist();
  } catch (error) {
    fault.textContent = connectFault(error);
    element("code").focus();
    return;
  } finally {
    page.busy = false;
  }
  for (const key of [...KEPT, "language"]) await page.store.forget(key);
  page.today = null;
  link.code = "";
  leave();
  show("waiting");
  await offerPin();
  await wake();
}

// True where this phone is connected no more.
export async function disconnect() {
  const fault = element("disconnect-fault");
  if (!asksAgain) {
    asksAgain = true;
    const waiting = (await waitingAnswers(page.store)).length;
    const stays = say("Not sent yet: {count}. That stays here until you delete it.", { count: waiting });
    fault.textContent = `${say("Tap again to disconnect.")} ${waiting ? stays : ""}`.trim();
    return false;
  }
  if (!(await mayGoOn())) return false;
  try {
    await askAsDevice(page.store, "POST", "/v1/device/revoke");
  } catch (error) {
    if (!(error instanceof Disconnected)) {
      fault.textContent = say("This needs a connection. Please try again.");
      return false;
    }
  }
  for (const key of ["device", "pin", "language", ...KEPT]) await page.store.forget(key);
  asksAgain = false;
  page.today = null;
  fault.textContent = "";
  return true;
}
