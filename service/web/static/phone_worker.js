// Opens the client's page without a network. It only reads what phone_shell.js keeps, and never touches /v1.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== "GET" || origin !== self.location.origin) return;
  if (mode === "navigate") event.respondWith(newest(event.request));
  else if (pathname.startsWith("/static/")) event.respondWith(kept(event.request));
});

const PATIENCE_MILLISECONDS = 3000;

// The page as the clinic has it now, for its contacts may have changed; the kept one where nobody answers, not in time,
// or somebody in between.
async function newest(request) {
  const shelved = await caches.match(request, { ignoreSearch: true });
  const asked = fetch(request).catch(() => null);
  const patience = new Promise((go) => setTimeout(go, PATIENCE_MILLISECONDS));
  const response = await (shelved ? Promise.race([asked, patience]) : asked);
  if (response && (response.ok || response.type === "opaqueredirect" || !shelved)) return response;
  return shelved || response || Response.error();
}

// A file's address names its release, so a kept file is never an old one.
async function kept(request) {
  return (await caches.match(request)) || fetch(request);
}

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
