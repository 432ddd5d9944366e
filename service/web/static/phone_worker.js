// Keeps the client's page, and opens it without a network. It never touches /v1.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin) return;
  if (mode === "navigate") event.respondWith(newest(event, pathname));
  else if (pathname.startsWith("/static/")) event.respondWith(kept(event.request));
});

// A page that came before there was a worker asks to be kept.
self.addEventListener("message", (event) =>
  event.waitUntil(fetch(event.data).then((response) => response.ok && keep(event.data, response))),
);

// What an opening takes, as the page itself names it; the worker has no parser.
const FILES = /(?:src|sheet" href|"icon" href)="(\/static\/[^"]+)/g;
const PARTS = "parts";
let keeping = Promise.resolve();

// A file is kept only from the release that its address names: while a clinic's servers are updated one after the other,
// another one answers the same address with a file of its own.
const isOurs = ({ ok, headers, url }) => ok && url.includes(`/static/${headers.get("Neap-Release")}/`);

async function ours(file, isPart) {
  const response = await fetch(file);
  if (isPart && response.status === 404) return null;
  // Nobody reads why.
  if (!isOurs(response)) throw new Error();
  return [file, response];
}

// What was fetched beside an opening is there without a network in the new release, too: without what asks for the PIN
// nobody comes past the cover. A part that the new release has no more is not missed.
async function partsAnew(files) {
  const folder = files.find((file) => file.endsWith("/phone.js")).replace(/[^/]+$/, "");
  const parts = await (await caches.open(PARTS)).keys();
  const names = parts.map(({ url }) => url.match(/[^/]+$/)[0]).filter((name) => name.endsWith(".js"));
  const found = await Promise.all(Array.from(new Set(names), (name) => ours(folder + name, true)));
  return found.filter(Boolean);
}

// All of a release or nothing of it: a page whose scripts are missing, or another's, would open and do nothing. Whoever
// waits for it is told that all of it is there; where this phone has no room, nothing of it is kept.
async function replace(path, response) {
  const files = Array.from((await response.clone().text()).matchAll(FILES), ([, file]) => file);
  // Somebody else's page.
  if (!files.length) throw new Error();
  const shell = await caches.open(`shell ${path}`);
  const before = (await shell.keys()).map(({ url }) => new URL(url).pathname);
  const fetched = await Promise.all(files.filter((file) => !before.includes(file)).map((file) => ours(file)));
  const gone = before.filter((file) => file !== path && !files.includes(file));
  const parts = gone.length ? await partsAnew(files) : [];
  try {
    for (const [file, content] of fetched) await shell.put(file, content);
    await shell.put(path, response);
  } catch {
    return;
  }
  if (gone.length) await caches.delete(PARTS);
  for (const file of gone) await shell.delete(file);
  for (const [file, content] of parts) await shelve(file, content).catch(() => {});
}

// One after the other: what one needs, another would take away as old.
function keep(path, response) {
  const kept = keeping.then(() => replace(path, response));
  keeping = kept.catch(() => {});
  return kept;
}

const PATIENCE_MILLISECONDS = 3000;

// The page as the clinic has it now, for its contacts may have changed; the kept one where nobody answers, not in time,
// or somebody in between, and where the new one's files cannot be had.
async function newest(event, path) {
  const shelved = await caches.match(path);
  const asked = fetched(event, path, shelved).catch(() => null);
  event.waitUntil(asked);
  const patience = new Promise((go) => setTimeout(go, PATIENCE_MILLISECONDS));
  const response = await (shelved ? Promise.race([asked, patience]) : asked);
  if (response && (response.ok || response.type === "opaqueredirect" || !shelved)) return response;
  return shelved || response || Response.error();
}

async function fetched(event, path, shelved) {
  const response = await fetch(event.request);
  if (response.ok) {
    const kept = keep(path, response.clone());
    event.waitUntil(kept.catch(() => {}));
    if (shelved) await kept;
  }
  return response;
}

// A file's address names its release, so a kept file is never an old one. What is fetched once beside what an opening
// takes (why an answer was refused, the history) is there without a network from then on.
async function kept(request) {
  const found = await caches.match(request);
  if (found) return found;
  const response = await fetch(request);
  // Without room it is there with a network only.
  if (isOurs(response)) await shelve(request, response.clone()).catch(() => {});
  return response;
}

const shelve = async (request, response) => (await caches.open(PARTS)).put(request, response);

// A reminder. Its words come from the server, in the client's language, and say nothing of what it is about; the same
// tag for all of them, so that one that was not looked at is replaced and never joined by a second.
self.addEventListener("push", (event) => {
  const { title, body, link } = event.data ? event.data.json() : {};
  const options = { body: body || "", tag: "reminder", icon: "/static/phone_icon.svg", data: { link } };
  event.waitUntil(self.registration.showNotification(title || "Neap", options));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  // Only ever to a page of this site.
  const link = event.notification.data && event.notification.data.link;
  if (link) event.waitUntil(openPage(new URL(link).pathname));
});

// The page that is open already, else a new one.
async function openPage(path) {
  const open = await self.clients.matchAll({ type: "window" });
  const shown = open.find(({ url }) => new URL(url).pathname === path);
  return shown ? shown.focus() : self.clients.openWindow(path);
}
