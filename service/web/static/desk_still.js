// The inbox keeps still under a hand: what arrives by itself puts no other button under a finger that is about to press.
// A list with other buttons, or in another order, waits behind one button above it while the pointer is over the list,
// while somebody goes through it by keyboard, and for some seconds after a press or a scroll; else it is put in at once.
// What the lines that stand say is never held back: whose an alert is by now, and that it is not to be taken on any more.
// A reason that comes into a line under a hand was not read yet: the press that follows says so and takes on nothing.
// Nobody looks and presses in less than half a second: a press so soon after the list changed was meant for what stood
// there before, and is not taken. Without script nothing arrives by itself.
const still = {};
{
  const RECENT = 4_000;
  const SETTLING = 500;
  const LOOK = 500;
  // What can be pressed, and what takes the room of a line of its own.
  const PLACES = "a[id], button[id]:not([id^=undo-]), form.undo[id]";

  const bar = document.getElementById("news");
  const list = () => document.getElementById("open");
  const rows = (within) => [...within.querySelectorAll("li[data-alert]")];
  const urgencyOf = (row) => ["urgent", "today", "review"].find((each) => row.classList.contains(each));
  const placesOf = (within) => [...within.querySelectorAll(PLACES)].map((each) => each.id).concat(rows(within).map(urgencyOf)).join();

  let held = null;
  let before = null; // the list as it was shown, while another one waits
  let changedAt = 0;
  let toldAt = 0; // a reason that nobody had read was told: of that no press by keyboard is too soon to be meant, either
  let pressedAt = Date.now(); // whoever just came, often by a press, is about to press again
  let down = false;
  let keyed = false;

  still.waits = () => held !== null;

  // What is done above the list may move it, and what is said in it makes lines longer.
  still.watch = (act) => {
    const placed = () => `${list().getBoundingClientRect().top} ${list().getBoundingClientRect().bottom}`;
    const stood = placed();
    act();
    if (placed() !== stood) changedAt = Date.now();
  };

  function isBusy() {
    const open = list();
    if (!open.querySelector("a, button")) return false;
    if (down || Date.now() - pressedAt < RECENT) return true;
    if (matchMedia("(hover: hover)").matches && open.matches(":hover")) return true;
    // Who has come to the button that shows it is about to press that.
    return keyed && (open.contains(document.activeElement) || bar.contains(document.activeElement));
  }

  // A list as it arrived, to be put in, and to be looked at before.
  function arrived(html) {
    return { html, page: new DOMParser().parseFromString(html, "text/html") };
  }

  function newIn(within) {
    const known = new Set(rows(list()).map((row) => row.dataset.alert));
    return rows(within).filter((row) => !known.has(row.dataset.alert));
  }

  function newsOf(fresh, urgent) {
    const alerts = fresh === 1 ? "alert" : "alerts";
    if (urgent === fresh) return `${fresh} new urgent ${alerts}`;
    const so = urgent ? `, ${urgent} urgent` : "";
    return `${fresh} new ${alerts}${so}`;
  }

  function wordsOf(fresh, urgent) {
    return fresh ? `${newsOf(fresh, urgent)}: ${fresh === 1 ? "show it" : "show them"}` : "The list changed: show it";
  }

  // Whoever is at another tab or window reads in the title of this one what came since.
  const title = document.title;
  const unlooked = new Map(); // an alert, and whether it asked for somebody when it came
  const asksIn = (row) => Boolean(row.querySelector("button.pri"));

  // Told is what waits still: no longer what was closed, or what somebody has taken on.
  function entitle(within) {
    if (document.hasFocus()) return;
    for (const row of newIn(within)) if (!unlooked.has(row.dataset.alert)) unlooked.set(row.dataset.alert, asksIn(row));
    const waits = rows(within).filter((row) => unlooked.has(row.dataset.alert) && (asksIn(row) || !unlooked.get(row.dataset.alert)));
    const urgent = waits.filter((row) => row.classList.contains("urgent")).length;
    document.title = waits.length ? `${newsOf(waits.length, urgent)} · ${title}` : title;
  }

  window.addEventListener("focus", () => {
    unlooked.clear();
    document.title = title;
  });

  const reasonOf = (row) => row.querySelector(".reason")?.textContent ?? "";
  const toldOf = (within) => rows(within).map(reasonOf).join("\n");

  const isTaken = (button) => button.getAttribute("aria-disabled") === "true";

  // A line says what it says in the other list, and its buttons stay where they are.
  function sayOf(row, as) {
    if (reasonOf(row) !== reasonOf(as ?? row) && row.contains(document.activeElement)) {
      document.getElementById("heard").textContent = `${row.querySelector(".name").textContent}: ${reasonOf(as)}`;
    }
    for (const part of [".reason", ".what > .small"]) {
      const [here, there] = [row.querySelector(part), as?.querySelector(part)];
      if (here && there && here.textContent !== there.textContent) here.innerHTML = there.innerHTML;
    }
    const [seen, by] = [row.querySelector("[name=seen]"), as?.querySelector("[name=seen]")];
    if (seen && by) row.dataset.seen = by.value;
    if (!as) row.querySelector(".what > .small").textContent = "not open any more";
    const button = row.querySelector("button.pri");
    if (!button) return;
    const offered = Boolean(as?.querySelector("button.pri"));
    if (!offered && !isTaken(button) && document.activeElement === button) tellOf(row, Boolean(as));
    if (offered) button.removeAttribute("aria-disabled");
    else button.setAttribute("aria-disabled", "true");
  }

  function say(page) {
    still.watch(() => {
      for (const row of rows(list())) sayOf(row, page.querySelector(`li[data-alert="${row.dataset.alert}"]`));
    });
  }

  function tellOf(row, isOpen) {
    const whose = row.querySelector(".name").textContent;
    const words = isOpen ? "somebody else did something here." : "not open any more.";
    document.getElementById("heard").textContent = `${whose}: ${words}`;
  }

  function hold(next) {
    held = next;
    before ??= arrived(list().outerHTML);
    say(next.page);
    // Only the words of some lines are others: they stand there, and the rest waits without a word.
    if (placesOf(next.page) === placesOf(list())) {
      bar.replaceChildren();
      return;
    }
    const fresh = newIn(next.page);
    const urgent = fresh.filter((row) => row.classList.contains("urgent")).length;
    let button = bar.querySelector("button");
    if (!button) {
      button = document.createElement("button");
      button.type = "button";
      button.addEventListener("click", showHeld);
      bar.append(button);
      changedAt = Date.now();
    }
    const words = wordsOf(fresh.length, urgent);
    if (button.textContent !== words) button.textContent = words;
    button.classList.toggle("urgent", urgent > 0);
  }

  function drop() {
    held = before = null;
    bar.replaceChildren();
  }

  function put(next) {
    const old = list();
    const fresh = newIn(next.page).map((row) => row.dataset.alert);
    const asking = old.classList.contains("htmx-request");
    const at = old.contains(document.activeElement) ? document.activeElement.closest("li") : null;
    const was = at && reasonOf(at);
    drop();
    if (placesOf(old) !== placesOf(next.page) || toldOf(old) !== toldOf(next.page)) changedAt = Date.now();
    htmx.swap(old, next.html, { swapStyle: "outerHTML" });
    for (const row of rows(list())) row.classList.toggle("fresh", fresh.includes(row.dataset.alert));
    if (at && !list().contains(document.activeElement)) follow(at);
    else if (at) tellReason(rows(list()).find((row) => row.dataset.alert === at.dataset.alert), was);
    // What answers a list that is gone would be lost.
    if (asking) htmx.trigger(list(), "changed");
  }

  // Whoever has a line's button under the keyboard hears that there is another reason.
  function tellReason(row, was) {
    if (!row || reasonOf(row) === was) return;
    toldAt = Date.now();
    document.getElementById("heard").textContent = `${row.querySelector(".name").textContent}: ${reasonOf(row)}`;
  }

  // The button that had the focus is gone: somebody else was faster.
  function follow(row) {
    const { alert } = row.dataset;
    const now = document.getElementById(`name-${alert}`);
    tellOf(row, now !== null);
    (now ?? list().querySelector(".name") ?? document.getElementById("main")).focus();
  }

  function showHeld() {
    put(held);
    (list().querySelector(".fresh .name") ?? list().querySelector(".name") ?? document.getElementById("main")).focus();
  }

  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (target.id !== "open" || xhr.status !== 200) return;
    event.detail.shouldSwap = false;
    const next = arrived(xhr.responseText);
    entitle(next.page);
    // Also where it differs in a word: a press whose button is another one at its end is none.
    (isBusy() ? hold : put)(next);
  });
  // It is again as it is shown.
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.elt.id === "open" && event.detail.xhr.status === 204) {
      if (before) say(before.page);
      drop();
    }
  });
  setInterval(() => {
    if (held !== null && !isBusy()) put(held);
  }, LOOK);

  function pressed() {
    pressedAt = Date.now();
  }
  document.addEventListener("pointerdown", () => {
    down = true;
    keyed = false;
    pressed();
  }, true);
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => {
      down = false;
      pressed();
    }, true);
  }
  document.addEventListener("keydown", (event) => {
    keyed = true;
    pressed();
    // A key that is held presses once.
    if (event.repeat && event.key === "Enter" && event.target.closest("#open button")) event.preventDefault();
  }, true);
  document.addEventListener("scroll", pressed, { capture: true, passive: true });

  // Whoever presses a line that became another under their hand is told by the server, and reads it then.
  document.addEventListener("refused", ({ target }) => {
    const row = target.closest("#open li[data-seen]");
    if (!row) return;
    row.querySelector("[name=seen]").value = row.dataset.seen;
    delete row.dataset.seen;
    changedAt = toldAt = Date.now();
  });

  // By keyboard it is pressed what has the focus, which stays where it was.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("#open button");
    if (button && isTaken(button)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      const row = button.closest("li");
      const name = row.querySelector(".name").textContent;
      const says = row.querySelector(".what > .small").textContent.replaceAll(/\s+/g, " ").trim();
      document.getElementById("said").textContent = `${name}: ${says}. Nothing was pressed.`;
      return;
    }
    const since = event.detail === 0 ? toldAt : changedAt;
    if (Date.now() - since >= SETTLING || !event.target.closest("#open, #news")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    changedAt = Date.now();
    document.getElementById("said").textContent = "The list changed at that moment, so nothing was pressed. Look, and press again.";
  }, true);
}
