// How long ago an alert was opened stays true while the page stands. Its age when it was shown comes with it, so that this
// machine's clock need not be right. Without script the page says of what time it is.
{
  const OFTEN = 10_000;
  const MINUTE = 60;

  const shownAt = new WeakMap();

  // As `pages.how_long` says it.
  function howLong(seconds) {
    const minutes = Math.floor(seconds / MINUTE);
    const hours = Math.floor(minutes / 60);
    if (minutes < 60) return `${minutes} min`;
    if (hours >= 48) return `${Math.floor(hours / 24)} days`;
    return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  }

  function tell() {
    for (const age of document.querySelectorAll("[data-age]")) {
      if (!shownAt.has(age)) shownAt.set(age, Date.now());
      const words = howLong(Number(age.dataset.age) + Math.max(0, Date.now() - shownAt.get(age)) / 1_000);
      if (age.textContent !== words) age.textContent = words;
    }
  }

  // A line that became longer may take a second one: what is below it in the inbox is another place from then on.
  const tellStill = () => (typeof still === "undefined" ? tell() : still.watch(tell));

  setInterval(tellStill, OFTEN);
  document.addEventListener("visibilitychange", tellStill);
  document.addEventListener("htmx:load", tellStill);
  tell();
}
