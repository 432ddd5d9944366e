// What was sent, what waits and what was refused, in words.
import { dayAndTime } from "./phone_days.js";
import { element } from "./phone_page.js";
import { waitingAnswers } from "./phone_server.js";
import { say } from "./phone_words.js";

export async function showQueue(store, wake) {
  const queue = await store.queue();
  const waiting = await waitingAnswers(store);
  const refused = queue.filter((answer) => answer.refused);
  const earlier = queue.filter((answer) => !answer.refused && !waiting.some((other) => other.id === answer.id));
  const arrivedAt = await store.kept("arrivedAt");
  const device = await store.kept("device");
  let words = "";
  if (waiting.length === 1) {
    words = say("1 answer is saved on this phone and not sent yet. It goes out by itself once there is a connection.");
  } else if (waiting.length) {
    words = say(
      "{count} answers are saved on this phone and not sent yet. They go out by themselves once there is a connection.",
      { count: waiting.length },
    );
  } else if (arrivedAt && device) {
    words = say("Arrived at your clinic: {when}.", { when: dayAndTime(new Date(arrivedAt)) });
  }
  const sent = element("sent");
  if (sent.textContent !== words) sent.textContent = words;
  sent.classList.toggle("arrived", !waiting.length && words !== "");
  // The lists are no part of what an opening takes. Nothing gets into these two without a network, and then the worker
  // keeps what shows them.
  const part = refused.length + earlier.length && (await import("./phone_unsent.js").catch(() => null));
  for (const [id, some] of [["refused", refused], ["earlier", earlier]]) element(id).hidden = !part || !some.length;
  if (part) part.showUnsent(refused, earlier, device, store, wake);
  await showLog(queue, (await store.kept("sentLog")) || []);
}

async function showLog(queue, sent) {
  const log = element("log");
  log.hidden = !(queue.length + sent.length);
  const part = log.open && (await import("./phone_log.js").catch(() => null));
  if (part) part.listAll(queue, sent);
  element("log-fault").textContent = part || !log.open ? "" : say("This needs a connection. Please try again.");
}
