// What was sent, what waits and what was refused, in words.
import { dayAndTime } from "./phone_days.js";
import { element } from "./phone_page.js";
import { waitingAnswers } from "./phone_server.js";
import { say } from "./phone_words.js";

export const when = (answer) => dayAndTime(new Date(answer.body.answered_at));

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
  showLog(queue, (await store.kept("sentLog")) || []);
  // The two lists are no part of what an opening takes: nothing gets into them without a network, and then the worker
  // keeps them.
  const part = refused.length + earlier.length && (await import("./phone_unsent.js").catch(() => null));
  for (const [id, some] of [["refused", refused], ["earlier", earlier]]) element(id).hidden = !part || !some.length;
  if (part) part.showUnsent(refused, earlier, device, store, wake);
}

export const kindOf = (body) => {
  if (body.instrument) return say("Questions");
  return body.kind === "moment" ? say("Craving now") : say("Check-in");
};

// Every answer that this phone knows of, newest first, each with what became of it.
function showLog(queue, sent) {
  const lines = queue.map((answer) => ({
    id: answer.id,
    state: answer.refused ? "refused" : "waiting",
    words: `${kindOf(answer.body)}, ${when(answer)}: ${answer.refused ? say("not accepted") : say("waiting")}`,
  }));
  for (const { id, body, arrivedAt } of sent) {
    const arrived = say("sent, arrived {when}", { when: dayAndTime(new Date(arrivedAt)) });
    lines.push({ id, state: "arrived", words: `${kindOf(body)}, ${when({ body })}: ${arrived}` });
  }
  lines.sort((one, other) => (one.id < other.id ? 1 : -1));
  element("log").hidden = !lines.length;
  element("log-list").replaceChildren(
    ...lines.map(({ state, words }) => {
      const item = document.createElement("li");
      item.className = state;
      item.textContent = words;
      return item;
    }),
  );
}
