// Reminders: at an hour that the client chooses, by a message of this browser, with e-mail behind it; off by default.
import { zone } from "./phone_days.js";
import { mayGoOn } from "./phone_lock.js";
import { showMonitoring } from "./phone_monitoring.js";
import { element, page } from "./phone_page.js";
import { Refused, askAsDevice } from "./phone_server.js";
import { say } from "./phone_words.js";

// Whether the address is shown and may be changed: with a PIN, after it alone.
let isOpened = false;

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
  const change = make("button", { id: "remind-change", type: "button", className: "quiet", textContent: say("Change reminders"), hidden: true });
  element("reminders").replaceChildren(make("h2", { textContent: say("Reminders") }), said, change, form, ...aboutHiding());
  const deleted = say("Disconnecting deletes what this page keeps here; answers not sent yet stay until you delete them.");
  element("disconnect-fault").before(make("p", { textContent: deleted }));
  change.addEventListener("click", async () => {
    isOpened = await mayGoOn("remind-said");
    if (isOpened) await tellAll();
  });
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
  element("remind-form").hidden = !isOpened;
  element("remind-change").hidden = isOpened;
  element("remind-at").value = isOpened && at ? at.slice(0, 5) : "";
  element("remind-email").value = (isOpened && email) || "";
  element("remind-off").hidden = !at;
  const by = push ? say("in this browser") : say("by e-mail");
  const on = push || email ? `${say("On, at most once a day:")} ${by}` : say("Not yet. Give an e-mail address, or allow messages of this page.");
  element("remind-said").textContent = at ? on : say("Off.");
}

// Opened by the PIN before, it is closed again at once, whatever the clinic's answer and the network.
function hideAddress() {
  element("remind-form").hidden = true;
  for (const id of ["remind-at", "remind-email"]) element(id).value = "";
}

// Whoever picks the phone up again is perhaps somebody else.
document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState !== "hidden" || !isOpened || !(await page.store.kept("pin"))) return;
  isOpened = false;
  hideAddress();
  element("remind-change").hidden = false;
});

const takesPush = "PushManager" in window && "Notification" in window;
const mayShow = async () => takesPush && (await Notification.requestPermission()) === "granted";
const WORKER_MILLISECONDS = 5000;

// Where no worker starts, `ready` never comes.
const worker = () =>
  Promise.race([navigator.serviceWorker.ready, new Promise((_, reject) => setTimeout(reject, WORKER_MILLISECONDS))]);

// This browser's subscription under the clinic's key: one under another key is of no use, and bars the way.
async function subscription(key) {
  const { pushManager } = await worker();
  const held = await pushManager.getSubscription();
  const heldUnder = held && held.options && held.options.applicationServerKey;
  if (heldUnder && String(new Uint8Array(heldUnder)) !== String(bytesOf(key))) await held.unsubscribe();
  return (await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytesOf(key) })).toJSON();
}

// The clinic knows this browser, if it has a subscription to give.
async function register({ push, push_key: key }) {
  const found = await subscription(key).catch(() => null);
  if (!found || (push && found.endpoint === (await page.store.kept("pushEndpoint")))) return;
  const { endpoint, keys } = found;
  await askAsDevice(page.store, "PUT", "/v1/phone-settings/push", { endpoint, keys });
  await page.store.keep("pushEndpoint", endpoint);
}

async function keep(remindAt) {
  const fault = element("remind-fault");
  fault.textContent = "";
  // As it stands now: it is taken away where the page goes out of sight.
  const email = element("remind-email").value.trim() || null;
  // Within the tap: after a round trip some browsers do not ask any more.
  const allowed = remindAt && mayShow().catch(() => false);
  try {
    if (await allowed) await register(await askAsDevice(page.store, "GET", "/v1/phone-settings"));
    const body = { remind_time: remindAt, time_zone: zone(), email: remindAt ? email : null };
    tell(await askAsDevice(page.store, "PUT", "/v1/phone-settings/reminder", body));
  } catch (error) {
    fault.textContent =
      error instanceof Refused && error.status === 400
        ? say("Please look at the hour and the e-mail address.")
        : say("This needs a connection. Please try again.");
  }
}

// The client travels: the same hour, on the clock that they see now. And what this browser's push service has ended, or
// was meant for another key, is made anew.
export async function follow(remindZone) {
  const granted = takesPush && Notification.permission === "granted";
  if (remindZone === zone() && !granted) return;
  const kept = await askAsDevice(page.store, "GET", "/v1/phone-settings");
  const { remind_time, time_zone, email } = kept;
  if (!remind_time) return;
  const body = { remind_time, time_zone: zone(), email };
  if (time_zone !== zone()) await askAsDevice(page.store, "PUT", "/v1/phone-settings/reminder", body);
  if (granted) await register(kept);
}

export async function showReminders() {
  if (!element("this-phone").open) return;
  isOpened = !(await page.store.kept("pin"));
  if (!element("remind-form")) put();
  if (!isOpened) hideAddress();
  await showMonitoring();
  await tellAll();
}

async function tellAll() {
  try {
    tell(await askAsDevice(page.store, "GET", "/v1/phone-settings"));
  } catch {
    element("remind-said").textContent = say("This needs a connection. Please try again.");
  }
}
