// My account: push messages in this browser. Without it, or where the browser cannot, e-mails come as before.

const place = document.getElementById("push");
const said = document.getElementById("push-said");
const button = document.getElementById("push-on");
const SCOPE = "/messages/";

const WHY_NOT = {
  denied: "This browser was told to show no notifications of this site; its settings can change that.",
  missing: "This browser cannot show push messages. E-mails come as before.",
  failed: "That did not work: the browser's push service could not be reached. E-mails come as before.",
};

function bytesOf(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

async function keep(subscription) {
  const reply = await fetch("/v1/push-subscriptions", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": place.dataset.csrf },
    body: JSON.stringify(subscription),
  });
  if (!reply.ok) throw new Error(String(reply.status));
}

async function turnOn() {
  button.disabled = true;
  if ((await Notification.requestPermission()) !== "granted") {
    said.textContent = WHY_NOT.denied;
    return;
  }
  try {
    const registration = await navigator.serviceWorker.register("/messages/worker.js", { scope: SCOPE });
    await active(registration);
    const options = { userVisibleOnly: true, applicationServerKey: bytesOf(place.dataset.key) };
    await keep(await registration.pushManager.subscribe(options));
    location.reload();
  } catch {
    said.textContent = WHY_NOT.failed;
    button.disabled = false;
  }
}

function active(registration) {
  const coming = registration.installing || registration.waiting;
  if (registration.active || !coming) return Promise.resolve();
  return new Promise((done) =>
    coming.addEventListener("statechange", () => coming.state === "activated" && done()));
}

async function begin() {
  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
    said.textContent = WHY_NOT.missing;
    return;
  }
  if (Notification.permission === "denied") {
    said.textContent = WHY_NOT.denied;
    return;
  }
  const registration = await navigator.serviceWorker.getRegistration(SCOPE);
  const subscription = registration && (await registration.pushManager.getSubscription());
  // Kept before: told again, since the browser may have a fresh one.
  if (subscription && place.dataset.kept) await keep(subscription).catch(() => {});
  button.hidden = false;
  button.addEventListener("click", turnOn);
}

begin();
