// Every answer that this phone knows of, newest first, each with what became of it.
import { dayAndTime } from "./phone_days.js";
import { element } from "./phone_page.js";
import { say } from "./phone_words.js";

export const when = (answer) => dayAndTime(new Date(answer.body.answered_at));

export const kindOf = (body) => {
  if (body.instrument) return say("Questions");
  return body.kind === "moment" ? say("Craving now") : say("Check-in");
};

export function listAll(queue, sent) {
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
  element("log-list").replaceChildren(
    ...lines.map(({ state, words }) => {
      const item = document.createElement("li");
      item.className = state;
      item.textContent = words;
      return item;
    }),
  );
}
