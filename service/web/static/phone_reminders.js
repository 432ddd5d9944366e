// Reminders: at an hour that the client chooses, by a message of this browser, with e-mail behind it; off by default.
import { zone } from "./phone_days.js";
import { showMonitoring } from "./phone_monitoring.js";
import { element, page } from "./phone_page.js";
import { Refused, askAsDevice } from "./phone_server.js";
import { say } from "./phone_words.js";

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

function aboutHiding() {
  const how = say("One tap shows a page of notes instead. To come back, tap its title twice. If you have a PIN, it is asked then.");
  return [make("h2", { textContent: say("Hide this page") }), make("p", { textContent: how })];
}

function put() {
  const labelled = (id, type, label, more) => {
    const words = make("label", { htmlFor: id, textContent: label });
    const input = make("input", { id, type, ...more });
    input.setAttribute("aria-describedby", "remind-fault");
    return [words, input];
  };
  const said = make("p", { id: "remind-said" });
  said.setAttribute("role", "status");
  const fault = make("p", { id: "remind-fault", className: "fault" });
  fault.setAttribute("role", "alert");
  const form = make("form", { id: "remind-form", noValidate: true, hidden: true });
  const email = say("E-mail, where this browser shows no messages (optional)");
  const rule = say(
    "A reminder says only that this page is ready. It comes at most once a day. Once you have answered, only a questionnaire that is new that day still brings one.",
  );
  form.append(
    ...labelled("remind-at", "time", say("Every day at"), {}),
    ...labelled("remind-email", "email", email, { autocomplete: "email", maxLength: 254 }),
    make("p", { className: "small", textContent: rule }),
    fault,
    make("button", { type: "submit", textContent: say("Remind me") }),
    make("button", { id: "remind-off", type: "button", textContent: say("Turn reminders off"), hidden: true }),
  );
  element("reminders").replaceChildren(make("h2", { textContent: say("Reminders") }), said, form, ...aboutHiding());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const at = element("remind-at").value;
    if (at) keep(`${at.slice(0, 5)}:00`);
    else fault.textContent = say("Please choose an hour.");
  });
  element("remind-off").addEventListener("click", () => keep(null));
}

function bytesOf(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function tell({ remind_time: at, email, push }) {
  element("remind-at").value = at ? at.slice(0, 5) : "";
  element("remind-email").value = email || "";
  element("remind-off").hidden = !at;
  const by = push ? say("in this browser") : say("by e-mail");
  const on = push || email ? `${say("On, at most once a day:")} ${by}` : say("Not yet. Give an e-mail address, or allow messages of this page.");
  element("remind-said").textContent = at ? on : say("Off.");
}

// This browser's subscription, or null where it has none to give or the client said no.
async function subscription(key) {
  if (!("PushManager" in window && "Notification" in window)) return null;
  try {
    if ((await Notification.requestPermission()) !== "granted") return null;
    const { pushManager } = await navigator.serviceWorker.ready;
    return (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(key) })).toJSON();
  } catch {
    return null;
  }
}

async function keep(remindAt) {
  const fault = element("remind-fault");
  fault.textContent = "";
  try {
    if (remindAt) {
      const { push_key: key } = await askAsDevice(page.store, "GET", "/v1/phone-settings");
      const found = await subscription(key);
      if (found) {
        const { endpoint, keys } = found;
        await askAsDevice(page.store, "PUT", "/v1/phone-settings/push", { endpoint, keys });
      }
    }
    const email = element("remind-email").value.trim() || null;
    const body = { remind_time: remindAt, time_zone: zone(), email: remindAt ? email : null };
    tell(await askAsDevice(page.store, "PUT", "/v1/phone-settings/reminder", body));
    await page.store.keep("remindZone", remindAt && zone());
  } catch (error) {
    fault.textContent =
      error instanceof Refused && error.status === 400
        ? say("Please look at the hour and the e-mail address.")
        : say("This needs a connection. Please try again.");
  }
}

// The client travels: the same hour, on the clock that they see now.
export async function followZone() {
  const kept = await askAsDevice(page.store, "GET", "/v1/phone-settings");
  const { remind_time, email } = kept;
  const body = { remind_time, time_zone: zone(), email };
  if (remind_time) await askAsDevice(page.store, "PUT", "/v1/phone-settings/reminder", body);
  await page.store.keep("remindZone", remind_time && zone());
}

export async function showReminders() {
  if (!element("this-phone").open) return;
  if (!element("remind-form")) put();
  await showMonitoring();
  try {
    tell(await askAsDevice(page.store, "GET", "/v1/phone-settings"));
    element("remind-form").hidden = false;
  } catch {
    element("remind-said").textContent = say("This needs a connection. Please try again.");
  }
}
