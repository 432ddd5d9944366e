// Keeps the page and its files on the phone, so that it opens, crisis contacts and all, without a network.

function files() {
  const named = document.querySelectorAll("link:not([rel=apple-touch-icon], [rel=manifest]), script[src]");
  return [location.pathname, ...Array.from(named, (one) => new URL(one.href || one.src).pathname)];
}

// All of a release or nothing of it: a page whose scripts are missing would open and do nothing.
async function keepFiles() {
  const wanted = files();
  const shell = await caches.open(`shell ${location.pathname}`);
  await shell.addAll(wanted);
  for (const request of await shell.keys()) {
    if (!wanted.includes(new URL(request.url).pathname)) await shell.delete(request);
  }
}

export async function keepShell() {
  if (!navigator.serviceWorker || !window.caches) return;
  try {
    await navigator.serviceWorker.register("/phone/worker.js", { scope: "/phone/" });
    await keepFiles();
  } catch {
    // No network, or no room: what was kept before stays, and the next opening tries again.
  }
}
