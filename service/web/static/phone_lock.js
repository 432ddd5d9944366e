// What is behind the PIN, where one was chosen (phone_pin.js), and the cover.
import { element, page } from "./phone_page.js";
import { say } from "./phone_words.js";

const TWICE_MILLISECONDS = 1500;

// What a forgotten PIN leads to; phone.js says.
export const lock = { forgotten: null };

// Whether whoever holds the phone may do what is the client's to do; anybody where there is no PIN. Where the part that
// asks cannot be had, `fault` says so.
export async function mayGoOn(fault) {
  if (!(await page.store.kept("pin"))) return true;
  const part = await asksForPin();
  // Above the cover nothing else is asked than what takes it off.
  if (part) return part.openLock(fault === "cover-fault");
  element(fault).textContent = say("This needs a connection. Please try again.");
  return false;
}

export const asksForPin = () => import("./phone_pin.js").catch(() => null);

// ---- the cover: one tap hides the page behind something that says nothing

export function setCovered(covered) {
  document.body.classList.toggle("covered", covered);
  document.body.classList.remove("closed");
  element("cover").hidden = !covered;
  element("cover-fault").textContent = "";
  // What asks for a PIN with the page's head in it says what this page is.
  if (covered && document.querySelector("#pin .top")) element("pin").close();
  document.title = covered ? say("Notes") : "Neap";
  if (covered) element("cover-help").replaceChildren(...element("help-card").cloneNode(true).childNodes);
}

export async function cover() {
  setCovered(true);
  window.scrollTo(0, 0);
  await page.store.change((store) => store.put(true, "covered"));
  await page.store.forget("card");
}

async function uncover() {
  if (!(await mayGoOn("cover-fault"))) return;
  await page.store.forget("covered");
  setCovered(false);
}

export async function coverAgain() {
  if (await page.store.kept("covered")) setCovered(true);
}

export function listenToCover() {
  let tappedAt = -Infinity;
  element("hide").addEventListener("click", cover);
  element("uncover").addEventListener("click", async ({ timeStamp }) => {
    const isSecond = timeStamp - tappedAt < TWICE_MILLISECONDS;
    tappedAt = isSecond ? -Infinity : timeStamp;
    if (isSecond) await uncover();
  });
}
