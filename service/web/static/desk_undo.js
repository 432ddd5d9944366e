// An offer to take something back goes away after its seconds, unless somebody is about to press it.

const offer = document.getElementById("undo");

function leave() {
  if (offer.matches(":hover, :focus-within")) setTimeout(leave, 1000);
  else offer.remove();
}

setTimeout(leave, 1000 * Number(offer.dataset.seconds));
