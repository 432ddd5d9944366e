// What does not go out by itself: what the clinic did not accept, and what was answered under an earlier enrolment.
import { kindOf, when } from "./phone_log.js";
import { element } from "./phone_page.js";
import { showQueue } from "./phone_queue.js";
import { idOf } from "./phone_store.js";
import { say } from "./phone_words.js";

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

const FIELDS = {
  craving: () => say("Craving"),
  mood: () => say("Mood"),
  anxiety: () => say("Anxiety"),
  note: () => say("Note for your care team"),
  used: () => say("Used since last time"),
};

// The server's reason is written for programs: what a person can do with it are the field's name and the next step.
function reasonOf({ status, problem }) {
  if (status === 409) return say("Another answer with the same number is at your clinic already. Tell your clinic if in doubt.");
  if (status === 413) return say("It is too long. Delete it, and answer again with a shorter note.");
  const named = (problem.errors || []).map(({ field }) => field).filter(Boolean);
  // The field's own name, "0.mood" in a batch, where there are no words for it.
  const inWords = (field) => field.split(".").reduce((words, part) => (FIELDS[part] ? FIELDS[part]() : words), field);
  const fields = named.map(inWords).join(", ");
  const because = fields ? say("The clinic did not take: {fields}.", { fields }) : say("The clinic did not take it.");
  return `${because} ${say("Send it again, or tell your clinic; it stays here until you delete it.")}`;
}

export function showUnsent(refused, earlier, device, store, wake) {
  if (refused.length) showRefused(refused, store, wake);
  if (earlier.length) showEarlier(earlier, device, store, wake);
  element("refused").hidden = !refused.length;
  element("earlier").hidden = !earlier.length;
}

function showRefused(refused, store, wake) {
  const place = element("refused");
  const shown = refused.map(({ id }) => id).join();
  // A list that is the same is left alone, with what was tapped on it.
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  const items = refused.map((answer) => {
    const item = make("li");
    const resend = make("button", { type: "button", className: "resend", textContent: say("Send again") });
    const gone = make("button", { type: "button", className: "delete" });
    item.append(
      make("p", { textContent: `${kindOf(answer.body)}, ${when(answer)}. ${reasonOf(answer.refused)}` }),
      resend,
      " ",
      gone,
    );
    resend.addEventListener("click", async () => {
      place.dataset.shown = "";
      // Of an earlier connection: it waits with those until the client says that it is theirs.
      await store.enqueue({ id: answer.id, deviceId: answer.deviceId, body: answer.body });
      await showQueue(store, wake);
      await wake();
    });
    deletes(gone, say("Delete"), 1, async () => {
      await store.drop(answer.id);
      await showQueue(store, wake);
    });
    return item;
  });
  const list = make("ul", { id: "refused-list" });
  list.append(...items);
  place.replaceChildren(make("h2", { textContent: say("Not accepted, kept on this phone") }), list);
}

// Asks once more, and says how many go; a finger that taps twice at once has not read that.
function deletes(button, words, count, act) {
  const again = say("Tap again to delete {count}.", { count });
  if (button.textContent !== again) button.textContent = words;
  button.onclick = async ({ detail }) => {
    if (detail > 1) return;
    const sure = button.textContent === again;
    button.textContent = sure ? words : again;
    if (sure) await act();
  };
}

// Each connection's answers apart, the oldest connection first: they may be of several people, and a yes of one of them
// says nothing of another's.
function showEarlier(earlier, device, store, wake) {
  const place = element("earlier");
  const shown = [idOf(device), ...earlier.map(({ id, deviceId }) => id + deviceId)].join();
  if (place.dataset.shown === shown) return;
  place.dataset.shown = shown;
  const connections = new Map();
  for (const answer of earlier) connections.set(answer.deviceId, [...(connections.get(answer.deviceId) || []), answer]);
  const title = make("h2", { textContent: say("Are these answers yours?"), hidden: !device });
  const several = say("They were saved under several connections, perhaps by several people. Please answer for each.");
  const each = make("p", { textContent: several, hidden: !device || connections.size === 1 });
  const groups = Array.from(connections.values(), (answers) => groupOf(answers, device, store, wake));
  place.replaceChildren(title, each, ...groups);
}

// What one connection left.
function groupOf(answers, device, store, wake) {
  const count = answers.length;
  const last = when(answers.at(-1));
  const where = device
    ? say("Not sent, saved here before this phone was connected again: {count}.", { count })
    : say("Not sent yet, kept on this phone: {count}.", { count });
  const at = count === 1 ? say("The last: {last}.", { last }) : say("The first: {first}, the last: {last}.", { first: when(answers[0]), last });
  const settle = async (theirs) => {
    await settleEarlier(answers, store, device, theirs);
    await showQueue(store, wake);
  };
  const yes = make("button", { type: "button", className: "yes", textContent: say("Yes, send them"), hidden: !device });
  yes.onclick = () => settle(true).then(wake);
  const no = make("button", { type: "button", className: "no" });
  deletes(no, device ? say("No, delete them") : say("Delete"), count, () => settle(false));
  const group = make("div");
  group.append(make("p", { textContent: `${where} ${at}` }), yes, " ", no);
  return group;
}

// They are this client's and may go out, or they are not and are deleted: those that were asked about, as far as no other
// window has settled them.
async function settleEarlier(asked, store, device, theirs) {
  for (const answer of await store.queue()) {
    if (answer.refused || !asked.some(({ id, deviceId }) => id === answer.id && deviceId === answer.deviceId)) continue;
    if (theirs) await store.enqueue({ ...answer, deviceId: device.deviceId });
    else await store.drop(answer.id);
  }
}
