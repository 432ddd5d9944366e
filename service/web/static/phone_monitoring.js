// Leaving monitoring and coming back: the client's own to decide, at any time, with one more tap to be sure.
import { showNotice } from "./phone_check_in.js";
import { mayGoOn } from "./phone_lock.js";
import { element, page } from "./phone_page.js";
import { Refused, askAsDevice } from "./phone_server.js";
import { say } from "./phone_words.js";

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

function put() {
  const said = make("p", { id: "monitoring-said" });
  said.setAttribute("role", "status");
  const change = make("button", { id: "monitoring-change", type: "button", className: "quiet", hidden: true });
  const sure = make("div", { id: "monitoring-sure", hidden: true });
  sure.append(
    make("p", {
      textContent: say(
        "Nobody will look for changes in your answers. You can still send them, and a yes to the question about safety still reaches your team. Your team is told that you left.",
      ),
    }),
    make("button", { id: "monitoring-yes", type: "button", className: "quiet", textContent: say("Yes, leave") }),
    make("button", { id: "monitoring-no", type: "button", className: "quiet", textContent: say("Stay") }),
  );
  element("withdraw-place").replaceChildren(make("h2", { textContent: say("Monitoring") }), said, change, sure);
  change.addEventListener("click", () => (change.dataset.left ? keep(true) : ask(true)));
  element("monitoring-yes").addEventListener("click", async () => (await mayGoOn("monitoring-said")) && keep(false));
  element("monitoring-no").addEventListener("click", () => ask(false));
}

function ask(open) {
  element("monitoring-sure").hidden = !open;
  element("monitoring-change").hidden = open;
}

function tell({ monitored, left_on: left }) {
  if (page.today) {
    page.today.paused = !monitored;
    showNotice();
  }
  const change = element("monitoring-change");
  const paused = say("Paused by your clinic.");
  const watched = monitored ? say("Your team looks for changes in your answers.") : paused;
  element("monitoring-said").textContent = left ? say("You left. Nobody looks for changes in your answers.") : watched;
  change.textContent = left ? say("Come back") : say("Leave monitoring");
  change.dataset.left = left || "";
  ask(false);
}

async function keep(monitored) {
  try {
    tell(await askAsDevice(page.store, "PUT", "/v1/monitoring", { monitored }));
  } catch {
    ask(false);
    element("monitoring-said").textContent = say("This needs a connection. Please try again.");
  }
}

export async function showMonitoring() {
  if (!element("monitoring-said")) put();
  try {
    tell(await askAsDevice(page.store, "GET", "/v1/monitoring"));
  } catch (error) {
    // After a discharge there is nothing to leave.
    if (error instanceof Refused && error.status === 409) element("withdraw-place").replaceChildren();
    else element("monitoring-said").textContent = say("This needs a connection. Please try again.");
  }
}
