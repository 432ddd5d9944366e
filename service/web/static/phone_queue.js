// What was sent, what waits and what was refused, in words.
import { dayAndTime } from "./phone_days.js";
import { element, soon } from "./phone_page.js";
import { waitingAnswers } from "./phone_server.js";
import { say } from "./phone_words.js";

const A_WHILE_MILLISECONDS = 500;

export async function showQueue(store, wake) {
  const queue = await store.queue();
  const waiting = await waitingAnswers(store);
  const refused = queue.filter((answer) => answer.refused);
  const earlier = queue.filter((answer) => !answer.refused && !waiting.some((other) => other.id === answer.id));
  const arrivedAt = await store.kept("arrivedAt");
  const device = await store.kept("device");
  // Nobody has seen what is here.
  element("seen").hidden = Boolean(queue.length) || !((await store.kept("today")) || {}).seen_at;
  let words = "";
  if (waiting.length) {
    words = say("Answers saved on this phone and not sent yet: {count}. They go out by themselves once there is a connection.", {
      count: waiting.length,
    });
  } else if (arrivedAt && device) {
    words = say("Arrived at your clinic: {when}.", { when: dayAndTime(new Date(arrivedAt)) });
  }
  const sent = element("sent");
  if (sent.textContent !== words) sent.textContent = words;
  sent.classList.toggle("arrived", !waiting.length && words !== "");
  if (!refused.length) element("refused").hidden = true;
  if (!earlier.length) element("earlier").hidden = true;
  const log = (await store.kept("sentLog")) || [];
  element("log").hidden = !(queue.length + log.length);
  // The lists are no part of what an opening takes, and no answer waits for a script.
  const unsent = refused.length + earlier.length && import("./phone_unsent.js");
  const shown = unsent && unsent.then((part) => part.showUnsent(refused, earlier, device, store, wake));
  await soon(A_WHILE_MILLISECONDS, Promise.all([shown, element("log").open && showLog(queue, log)]));
}

async function showLog(queue, sent) {
  const part = await import("./phone_log.js").catch(() => null);
  if (part) part.listAll(queue, sent);
  element("log-fault").textContent = part ? "" : say("This needs a connection. Please try again.");
}
