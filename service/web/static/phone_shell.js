// Has the worker keep the page and its files on the phone, so that it opens, crisis contacts and all, without a network.

export async function keepShell() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  try {
    await serviceWorker.register("/phone/worker.js", { scope: "/phone/" });
    // A page that came through the worker has been kept by it already.
    if (!serviceWorker.controller) (await serviceWorker.ready).active.postMessage(location.pathname);
  } catch {
    // No network, or no room: what was kept before stays, and the next opening tries again.
  }
}
