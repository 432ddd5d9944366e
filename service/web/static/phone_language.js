// The client's language: the page's own while somebody has just chosen it here, else what the clinic has noted,
// which is the page's where nothing is yet.
import { page } from "./phone_page.js";
import { askAsDevice } from "./phone_server.js";
import { language } from "./phone_words.js";

export async function agreeOnLanguage() {
  const agreed = await page.store.kept("language");
  const noted = page.today.language;
  // Reminders come in the language that is noted.
  if (!noted || (agreed && agreed !== language)) {
    await askAsDevice(page.store, "PUT", "/v1/phone-settings/language", { language });
    await page.store.keep("language", language);
    return;
  }
  await page.store.keep("language", noted);
  if (noted !== language) location.replace(`?language=${noted}`);
}
