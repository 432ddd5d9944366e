// Connecting this phone by the clinic's code, and ending that. What was answered and not sent stays through both.
import { KEPT, clinic, element, page, show } from "./phone_page.js";
import { questions } from "./phone_questions.js";
import { showQueue } from "./phone_queue.js";
import { wake } from "./phone_sending.js";
import { Disconnected, Refused, Unreachable, askAsDevice, enrol, waitingAnswers } from "./phone_server.js";
import { say } from "./phone_words.js";

// The code leaves the address bar, and with it the history, before anything else happens.
export const link = { code: location.hash.slice(1) };
if (location.hash) history.replaceState(null, "", location.pathname);

let asksAgain = false;

export async function connectView(why) {
  const connected = Boolean(await page.store.kept("device"));
  element("connect-why").textContent = why;
  element("connect-why").hidden = !why;
  element("connect-cancel").hidden = !connected;
  element("code").value = link.code;
  show("connect");
  await showQueue(page.store, wake);
}

// This phone is connected no more; answers that wait or were refused stay.
export async function endEnrolment(why) {
  for (const key of ["device", "today", "pin"]) await page.store.forget(key);
  page.today = null;
  questions.definition = null;
  const words = why || say("This phone is no longer connected. Ask your clinic for a new code.");
  await connectView(`${words} ${say("Answers not sent yet are kept here.")}`);
}

function connectFault(error) {
  if (error instanceof Unreachable) return say("There is no connection to the clinic just now. Please try again.");
  if (!(error instanceof Refused)) {
    return say("This browser cannot keep the key that protects your answers. Try another one.");
  }
  if (error.status === 429) return say("Too many tries. Please wait some minutes and try again.");
  return say("This code is not right, or not any more. Check it, or ask your clinic for a new one.");
}

export async function connect(event) {
  event.preventDefault();
  if (page.busy) return;
  page.busy = true;
  const fault = element("connect-fault");
  fault.textContent = "";
  try {
    await enrol(page.store, clinic, element("code").value.trim());
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
  show("waiting");
  await wake();
}

export async function disconnect() {
  const fault = element("disconnect-fault");
  if (!asksAgain) {
    asksAgain = true;
    const waiting = (await waitingAnswers(page.store)).length;
    const stays = say("{count} not sent stay here until you delete them.", { count: waiting });
    fault.textContent = `${say("Tap again to disconnect.")} ${waiting ? stays : ""}`.trim();
    return;
  }
  try {
    await askAsDevice(page.store, "POST", "/v1/device/revoke");
  } catch (error) {
    if (!(error instanceof Disconnected)) {
      fault.textContent = say("This needs a connection. Please try again.");
      return;
    }
  }
  for (const key of ["device", "pin", "language", ...KEPT]) await page.store.forget(key);
  asksAgain = false;
  page.today = null;
  fault.textContent = "";
  await connectView(say("This phone is disconnected. What it kept is deleted, but for answers that were not sent."));
}
