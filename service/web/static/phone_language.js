// The client's language: the page's own while somebody has just chosen it here, else what the clinic has noted.
import { page } from "./phone_page.js";
import { askAsDevice } from "./phone_server.js";
import { language } from "./phone_words.js";

export async function agreeOnLanguage() {
  const agreed = await page.store.kept("language");
  const noted = page.today.language;
  if (agreed && agreed !== language) {
    await askAsDevice(page.store, "PUT", "/v1/phone-settings/language", { language });
    await page.store.keep("language", language);
    return;
  }
  await page.store.keep("language", noted || language);
  if (noted && noted !== language) location.replace(`?language=${noted}`);
}
