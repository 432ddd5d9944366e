// What was sent, what waits and what was refused, in words.
import { dayAndTime } from "./phone_days.js";
import { waitingAnswers } from "./phone_server.js";

const element = (id) => document.getElementById(id);

export async function showQueue(store, synchronise) {
  const queue = await store.queue();
  const waiting = await waitingAnswers(store);
  const refused = queue.filter((answer) => answer.refused);
  const earlier = queue.filter((answer) => !answer.refused && !waiting.some((other) => other.id === answer.id));
  const arrivedAt = await store.kept("arrivedAt");
  const device = await store.kept("device");
  let words = "";
  if (waiting.length) {
    const one = waiting.length === 1;
    words =
      `${one ? "1 answer is" : `${waiting.length} answers are`} saved on this phone and not sent yet. ` +
      `${one ? "It is" : "They are"} sent without your doing when there is a connection.`;
  } else if (arrivedAt && device) {
    words = `Arrived at your clinic: ${dayAndTime(new Date(arrivedAt))}.`;
  }
  const sent = element("sent");
  if (sent.textContent !== words) sent.textContent = words;
  sent.classList.toggle("arrived", !waiting.length && words !== "");
  element("earlier").hidden = !earlier.length || !device;
  element("earlier-words").textContent =
    `${earlier.length} not sent, saved here before this phone was connected again. The last is from ` +
    `${earlier.length ? dayAndTime(new Date(earlier[earlier.length - 1].body.answered_at)) : ""}.`;
  showRefused(refused, store, synchronise);
}

function showRefused(refused, store, synchronise) {
  element("refused").hidden = !refused.length;
  const items = refused.map((answer) => {
    const item = element("refused-item").content.cloneNode(true);
    const { problem } = answer.refused;
    // The field's name is enough: the rest of the reason is written for programs.
    const fields = (problem.errors || []).map((fault) => fault.field).filter(Boolean).join(", ");
    const when = dayAndTime(new Date(answer.body.answered_at));
    item.querySelector("p").textContent =
      `Your answer of ${when} was not accepted${fields ? ` because of: ${fields}` : ""}. ` +
      "Send it again, or tell your clinic; it stays here until you delete it.";
    item.querySelector(".resend").addEventListener("click", async () => {
      await store.enqueue({ id: answer.id, deviceId: answer.deviceId, body: answer.body });
      await synchronise();
    });
    item.querySelector(".delete").addEventListener("click", async () => {
      await store.drop(answer.id);
      await showQueue(store, synchronise);
    });
    return item;
  });
  element("refused-list").replaceChildren(...items);
}

// Answers of an earlier enrolment: they are this client's and may go out, or they are not and are deleted.
export async function settleEarlier(store, theirs) {
  const device = await store.kept("device");
  for (const answer of await store.queue()) {
    if (answer.refused || answer.deviceId === device.deviceId) continue;
    if (theirs) await store.enqueue({ ...answer, deviceId: device.deviceId });
    else await store.drop(answer.id);
  }
}
