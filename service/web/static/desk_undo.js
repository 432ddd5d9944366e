// An offer to take something back is led to when the page comes, for on a small screen or by keyboard it would come and go
// unseen; and it goes away after its seconds, or, where somebody is about to press it, when it cannot be taken back any
// more. The line that says what was done stays, for what stands below would move up under a finger. What has the focus is
// what was done and not the button beside it: whoever presses twice takes nothing back.
{
  function leave(offer, end) {
    if (Date.now() < end && offer.matches(":hover, :has(button:focus)")) return setTimeout(leave, 1000, offer, end);
    const undo = offer.querySelector("button");
    const pressing = undo === document.activeElement;
    undo?.remove();
    if (pressing) offer.querySelector("span").focus();
  }

  function lead(offers) {
    const newest = offers.reduce((one, other) => (+other.dataset.seconds > +one.dataset.seconds ? other : one));
    newest.scrollIntoView({ block: "nearest" });
    newest.querySelector("span").focus();
  }

  // Of the page, and of each list that is fetched later.
  document.addEventListener("htmx:load", (event) => {
    const offers = [...event.detail.elt.querySelectorAll(".undo")];
    for (const offer of offers) {
      const { seconds, mostSeconds } = offer.dataset;
      setTimeout(leave, 1000 * seconds, offer, Date.now() + 1000 * mostSeconds);
    }
    if (offers.length && event.detail.elt === document.body) lead(offers);
  });
}
