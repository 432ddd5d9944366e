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
    words = say("1 answer is saved on this phone and not sent yet. It is sent without your doing when there is a connection.");
  } else if (waiting.length) {
    words = say(
      "{count} answers are saved on this phone and not sent yet. They are sent without your doing when there is a connection.",
      { count: waiting.length },
    );
  } else if (arrivedAt && device) {
    words = say("Arrived at your clinic: {when}.", { when: dayAndTime(new Date(arrivedAt)) });
  }
  const sent = element("sent");
  if (sent.textContent !== words) sent.textContent = words;
  sent.classList.toggle("arrived", !waiting.length && words !== "");
  const count = earlier.length;
  element("earlier").hidden = !count;
  for (const id of ["earlier-title", "earlier-yes"]) element(id).hidden = !device;
  if (count) {
    element("earlier-words").textContent = device
      ? say("Not sent, saved here before this phone was connected again: {count}. The last: {when}.", { count, when: when(earlier.at(-1)) })
      : say("Not sent yet, kept on this phone: {count}.", { count });
  }
  deletes(element("earlier-no"), device ? say("No, delete them") : say("Delete"), count, async () => {
    await settleEarlier(store, false);
    await showQueue(store, wake);
  });
  showLog(queue, (await store.kept("sentLog")) || []);
  element("refused").hidden = !refused.length;
  // The list is no part of what an opening takes: nothing is refused without a network, and then the worker keeps it.
  const part = refused.length && (await import("./phone_refused.js").catch(() => null));
  if (part) part.showRefused(refused, store, wake);
}

// Asks once more, and says how many go; a finger that taps twice at once has not read that.
export function deletes(button, words, count, act) {
  const again = say("Tap again to delete {count}.", { count });
  if (button.textContent !== again) button.textContent = words;
  button.onclick = async ({ detail }) => {
    if (detail > 1) return;
    const sure = button.textContent === again;
    button.textContent = sure ? words : again;
    if (sure) await act();
  };
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

// Answers of an earlier enrolment: they are this client's and may go out, or they are not and are deleted.
export async function settleEarlier(store, theirs) {
  const device = await store.kept("device");
  for (const answer of await store.queue()) {
    if (answer.refused || (device && answer.deviceId === device.deviceId)) continue;
    if (theirs) await store.enqueue({ ...answer, deviceId: device.deviceId });
    else await store.drop(answer.id);
  }
}
