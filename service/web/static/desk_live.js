// The inbox, live: hears that something changed and lets the page fetch it; says whether it hears.
// Without it the list refreshes itself every minute, and without any script when the page is loaded again.

const said = document.getElementById("live");
const SAYS = {
  live: "Live: what changes shows at once.",
  trying: "Not live just now. Trying again; the list is at most a minute old.",
  ended: "Not live any more. Load the page again, you may have been signed out.",
};

function say(state) {
  said.textContent = SAYS[state];
  said.dataset.state = state;
}

function list() {
  return document.getElementById("open");
}

const source = new EventSource(`/inbox/stream?seen=${encodeURIComponent(list().dataset.version)}`);
source.addEventListener("open", () => say("live"));
source.addEventListener("changed", () => htmx.trigger(list(), "changed"));
source.addEventListener("error", () => say(source.readyState === EventSource.CLOSED ? "ended" : "trying"));
window.addEventListener("pagehide", () => source.close());
