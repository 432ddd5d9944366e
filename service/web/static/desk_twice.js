// Who presses again because nothing seems to happen meant what stood there before: on the page that comes after a press,
// pressing the same spot is taken only once the hand has rested. It waits for no other script, for the page may be shown
// before those run. By keyboard the focus is on no button when a page comes.
const twice = {};
{
  const MARK = "neap-pressed";
  const RESTED = 700;
  const NEAR = 40;

  let spot = null; // of the last press by a pointer
  let pressedAt = 0;
  let meant = null; // where it was pressed on the page before

  // The page is about to be another.
  twice.leaves = () => {
    if (spot) sessionStorage.setItem(MARK, JSON.stringify(spot));
  };

  twice.arrives = () => {
    meant = spot;
    pressedAt = Date.now();
  };

  const isAgain = ({ x, y }) => meant && Math.hypot(x - meant.x, y - meant.y) < NEAR && Date.now() - pressedAt < RESTED;

  document.addEventListener("click", (event) => {
    if (event.detail === 0) {
      spot = null;
      return;
    }
    spot = { x: event.clientX, y: event.clientY };
    if (!isAgain(spot)) {
      meant = null;
      return;
    }
    pressedAt = Date.now();
    if (!event.target.closest("button, summary")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    document.getElementById("said").textContent = "The page changed at that moment, so nothing more was pressed. Look, and press again.";
  }, true);

  spot = JSON.parse(sessionStorage.getItem(MARK));
  sessionStorage.removeItem(MARK);
  twice.arrives();
}
