// What a round with the clinic leads to beside the page's view: language, reminders, devices that this phone was before.
import { zone } from "./phone_days.js";
import { page } from "./phone_page.js";
import { Refused, askAsDevice } from "./phone_server.js";
import { language } from "./phone_words.js";

const AGAIN_MILLISECONDS = 60 * 60 * 1000;

let remindedIn = "";

export async function follow(today, replaced) {
  await agreeOnLanguage(today.language);
  if (!today.due) await takeRemindersAway();
  if (replaced.length) await revoke(replaced);
  if (today.reminder_zone) await keepReminding(today.reminder_zone);
}

async function revoke(replaced) {
  const connection = await import("./phone_connection.js");
  for (const device of replaced) await connection.revoke(page.store, device);
  await page.store.forget("replaced");
}

// The client's language: what was just tapped here, else what the clinic has noted, which is the page's where nothing is
// yet. The page's own says nothing: it may be the kept one.
async function agreeOnLanguage(noted) {
  // Reminders come in the language that is noted.
  if (!noted || sessionStorage.language === language) {
    await askAsDevice(page.store, "PUT", "/v1/phone-settings/language", { language });
    sessionStorage.removeItem("language");
    return;
  }
  // Whoever types a code or a PIN is not interrupted.
  if (page.view === "connect" || document.querySelector("dialog[open]")) return;
  // Not again and again: where that page cannot be had just now, or not be kept, this one comes in its place.
  if (noted === language || Date.now() - (sessionStorage.triedAt || 0) < AGAIN_MILLISECONDS) return;
  sessionStorage.triedAt = Date.now();
  location.replace(`?language=${noted}`);
}

// Once a page and zone.
async function keepReminding(remindZone) {
  const here = zone();
  if (remindedIn === here) return;
  remindedIn = here;
  try {
    await (await import("./phone_reminders.js")).follow(remindZone);
  } catch (error) {
    if (!(error instanceof Refused)) remindedIn = "";
    throw error;
  }
}

async function takeRemindersAway() {
  const worker = navigator.serviceWorker && (await navigator.serviceWorker.getRegistration());
  if (!worker || !worker.getNotifications) return;
  for (const shown of await worker.getNotifications({ tag: "reminder" })) shown.close();
}
