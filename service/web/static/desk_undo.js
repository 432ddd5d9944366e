// An offer to take something back goes away after its seconds, unless somebody is about to press it.
{
  function leave(offer) {
    if (offer.matches(":hover, :focus-within")) setTimeout(leave, 1000, offer);
    else offer.remove();
  }

  // Of the page, and of each list that is fetched later.
  document.addEventListener("htmx:load", (event) => {
    for (const offer of event.detail.elt.querySelectorAll(".undo")) setTimeout(leave, 1000 * offer.dataset.seconds, offer);
  });
}
