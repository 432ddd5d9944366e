// The inbox, live: hears that something changed and lets the page fetch it, and says whether it hears.
// A connection that is half open, or a server that stands still, ends nothing by itself. So the stream tells every ten
// seconds that the inbox was looked at; whoever misses two of them says so, since when, and connects anew.
// Without any script the page says of what time it is, and is loaded again.
{
  const SILENT = 25_000;
  const LOOK = 2_000;
  const AGAIN = 5_000;

  const line = document.getElementById("live");
  const list = () => document.getElementById("open");

  const ahead = Number(line.dataset.now) - Date.now(); // the clinic's clock before this machine's

  let source = null;
  let heardAt = Date.now(); // by this machine's clock: how long ago
  let heard = line.dataset.clock; // by the clinic's clock: what is said
  let listed = heard;
  let lives = false;
  let failed = false;
  let connectedAt = 0;

  function say(state, words) {
    still.watch(() => {
      if (line.textContent !== words) line.textContent = words;
      line.dataset.state = state;
    });
  }

  function show() {
    const old = `What stands below is of ${listed}; something newer may wait.`;
    if (!navigator.onLine) {
      say("lost", `Not live: this device is offline, and nothing was heard since ${heard}. ${old} It goes on by itself.`);
    } else if (Date.now() - heardAt > SILENT) {
      say("lost", `Not live: nothing was heard from the server since ${heard}. ${old} Trying again by itself.`);
    } else if (failed) {
      say("lost", `The list could not be fetched. ${old} Trying again by itself.`);
    } else if (lives) {
      say("live", "Live: what changes shows at once, or waits above the list while you are in it.");
    } else {
      say("trying", "Connecting …");
    }
  }

  function hear(event) {
    heardAt = Date.now();
    heard = event.data;
    lives = true;
    if (event.type === "changed") htmx.trigger(list(), "changed");
    else if (!failed && !still.waits()) listed = heard;
    show();
  }

  function connect() {
    source?.close();
    lives = false;
    connectedAt = Date.now();
    source = new EventSource(`/inbox/stream?seen=${encodeURIComponent(list().dataset.version)}`);
    source.addEventListener("here", hear);
    source.addEventListener("changed", hear);
    source.addEventListener("error", () => {
      lives = false;
      show();
    });
  }

  // As `how_long` says it. What an alert's line says of now is true of now, although nothing else changed.
  function howLong(minutes) {
    const hours = Math.floor(minutes / 60);
    if (hours < 1) return `${minutes} min`;
    if (hours >= 48) return `${Math.floor(hours / 24)} days`;
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }

  function age() {
    for (const told of list().querySelectorAll("[data-since]")) {
      const words = howLong(Math.max(0, Math.floor((Date.now() + ahead - told.dataset.since) / 60_000)));
      if (told.textContent !== words) told.textContent = words;
    }
  }

  function look() {
    age();
    const now = Date.now();
    // The browser never tries again what was refused, and does not know that what is silent is over.
    const refused = source.readyState === EventSource.CLOSED && now - connectedAt > AGAIN;
    const silent = now - heardAt > SILENT && now - connectedAt > SILENT;
    if (navigator.onLine && (refused || silent)) connect();
    show();
  }

  function fetchAgain() {
    if (failed) htmx.trigger(list(), "changed");
  }

  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.elt.id !== "open") return;
    failed = !event.detail.successful;
    if (failed) setTimeout(fetchAgain, AGAIN);
    show();
  });
  document.body.addEventListener("htmx:load", (event) => {
    if (event.detail.elt.id !== "open") return;
    listed = list().dataset.clock;
    show();
  });
  window.addEventListener("offline", show);
  window.addEventListener("online", () => {
    connect();
    fetchAgain();
    show();
  });
  // Whoever comes back to a page that slept reads at once how old it is.
  document.addEventListener("visibilitychange", look);
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => event.persisted && connect());
  setInterval(look, LOOK);
  connect();
  show();
}
