// Shows push messages and says that they have arrived. It fetches nothing else and controls no page.

self.addEventListener("push", (event) => event.waitUntil(show(event.data ? event.data.json() : {})));

async function show(said) {
  // The id as the tag: a second copy takes the place of the first.
  await self.registration.showNotification(said.title || "Neap", {
    body: said.body || "",
    tag: said.id,
    data: { link: said.link },
  });
  if (said.receipt) {
    await fetch("/v1/receipts", {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ receipt: said.receipt }),
    }).catch(() => {});
  }
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  // Only ever to a page of this site.
  const link = event.notification.data && event.notification.data.link;
  event.waitUntil(self.clients.openWindow(link ? new URL(link).pathname : "/inbox"));
});
