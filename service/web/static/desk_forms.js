// What is pressed at the desk is sent by the page itself, so that what does not arrive is told in the page: no error
// page of the browser, nothing lost of what was typed, and no doubt about what to do. Without script forms go as ever.
// Half-written texts are about clients and the machine may be shared: whoever leaves is warned, and nothing is kept but
// where a session ends elsewhere or by itself (`desk_kept.js`).
{
  const SLOW = 700;
  const PATIENCE = 30_000;

  const sent = new WeakSet();
  let leaving = false;
  let typing = false;

  function tell(words) {
    document.getElementById("said").textContent = words;
  }

  function isHalfWritten(form) {
    return kept.forms().includes(form) && [...form.elements].some(kept.differs);
  }

  // What else was typed on the page would be lost with it, and is asked about; not when somebody signs out.
  function go(form, to) {
    sent.add(form);
    twice.leaves();
    leaving = !form.closest("main");
    if (leaving) kept.forget();
    const target = new URL(to, location.href);
    const here = target.pathname === location.pathname && target.search === location.search;
    if (!here || !target.hash) return location.assign(target);
    location.hash = target.hash;
    location.reload();
  }

  // To signing in again, without asking: the desk is cleared. Whoever signed out elsewhere has their texts back, too: it
  // is a key of their own under which they lie.
  async function signedOut(to) {
    leaving = true;
    try {
      await kept.keep();
    } finally {
      location.assign(to);
    }
  }

  const isSignIn = (to) => new URL(to, location.href).pathname.endsWith("/sign-in");

  function put(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    document.title = page.title;
    document.body.replaceWith(document.adoptNode(page.body));
    htmx.process(document.body);
    scrollTo(0, 0);
    twice.arrives();
  }

  // Which content each step of the history showed: one that leads to another than stands here loads its page; one within
  // the page, as the link that skips to its text, is no other.
  let shown = 0;
  const noteShown = () => history.replaceState({ shown }, "");
  noteShown();

  // A page instead of an address: what is shown once, or asked for by a form.
  function show(html) {
    shown = Date.now();
    history.pushState({ shown }, "", location.href);
    put(html);
    document.getElementById("main").focus();
  }

  // The page as it is by now, for something came meanwhile: what this form held comes back with it, the rest stays.
  function showAnew(form, html) {
    const typed = kept.typed(form);
    put(html);
    // What came back stands in the page as if it had always been there: it is half written all the same.
    for (const field of document.querySelectorAll("form:has([name=form_page]) textarea")) {
      const { value } = field;
      field.defaultValue = "";
      field.value = value;
    }
    kept.give(typed);
    (document.querySelector("[autofocus]") ?? document.getElementById("main")).focus();
  }

  // The page on which it would come anew opens no more.
  const GONE =
    "Nothing was kept: this page cannot be opened any more, or not just now. What you typed still stands here: copy it, then load the page again.";

  // By an id that the page gave it, by the version that it changes, or by what it does.
  const isDoneOnce = ({ dataset, elements }) =>
    "makes" in dataset || "until" in dataset || ["id", "version", "seen"].some((name) => elements.namedItem(name));

  function problemOf(form, error) {
    const kept = isHalfWritten(form) ? " What you typed still stands here." : "";
    const { until } = form.dataset;
    if (!navigator.onLine) {
      const then = until ? ` Until then ${until}` : "";
      return `This device is offline: nothing was sent.${kept}${then} Press again when it is back.`;
    }
    if (error.name === "TimeoutError") {
      return `The server does not answer: this may have gone through or not.${kept} Look in a second tab how it stands before you press again.`;
    }
    // It may have arrived, and only the answer not.
    const next = isDoneOnce(form) ? "Press again in a moment: what did go through is not done twice." : "Look how it stands before you press again.";
    const so = until ? ` If so, ${until}` : "";
    return `The server cannot be reached, so this has probably not gone through.${kept}${so} ${next}`;
  }

  async function post(form, submitter) {
    const body = new URLSearchParams(new FormData(form));
    if (submitter?.name) body.append(submitter.name, submitter.value);
    const reply = await fetch(submitter?.getAttribute("formaction") ?? form.getAttribute("action"), {
      method: "POST",
      body,
      headers: { "Neap-Form": "anew" in form.dataset ? "anew" : "yes" },
      signal: AbortSignal.timeout(PATIENCE),
    });
    const to = reply.headers.get("Neap-Go-To");
    if (to && form.closest("main") && isSignIn(to)) return signedOut(to);
    if (to) return go(form, to);
    const text = await reply.text();
    if (reply.headers.has("Neap-Said")) {
      document.getElementById("said").innerHTML = text;
      refused.mark(form, document.getElementById("said"));
      form.dispatchEvent(new Event("refused", { bubbles: true }));
    } else if (reply.status === 409 && text.includes("data-error")) tell(GONE);
    else if (reply.status === 409 && text.includes('id="main"')) showAnew(form, text);
    else if (text.includes('id="main"')) show(text);
    else throw new TypeError(`status ${reply.status}`);
  }

  // A file is the browser's own matter: asked first is only whether somebody is there.
  async function passOn(form, submitter) {
    const reply = await fetch("/health/live", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    if (!reply.ok) throw new TypeError(`status ${reply.status}`);
    form.dataset.passed = "yes";
    sent.add(form);
    form.requestSubmit(submitter);
  }

  async function send(form, submitter) {
    form.dataset.sending = "yes";
    sent.delete(form);
    tell("");
    refused.clear(form);
    const slow = setTimeout(() => tell("Sending …"), SLOW);
    try {
      await ("download" in form.dataset ? passOn : post)(form, submitter);
    } catch (error) {
      tell(problemOf(form, error));
    }
    clearTimeout(slow);
    delete form.dataset.sending;
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.passed) {
      delete form.dataset.passed;
      return;
    }
    event.preventDefault();
    if (!form.dataset.sending) send(form, event.submitter);
  });
  const whoseIs = (page) => page.getElementById("stay")?.dataset.keeps;

  // Something changed, says the page: it comes as it is by now, with what was typed. To whoever signed in after somebody
  // else nothing is given: it stays with the page on which it was typed.
  async function showNow() {
    try {
      const reply = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (reply.redirected) return signedOut(reply.url);
      if (reply.status === 404) return tell("This is not there any more, or not yours to see any more. What you typed still stands here: copy it where you need it.");
      if (!reply.ok) throw new TypeError(`status ${reply.status}`);
      const html = await reply.text();
      if (whoseIs(new DOMParser().parseFromString(html, "text/html")) === whoseIs(document)) return showAnew(null, html);
      tell("Somebody else has signed in in this browser by now. Copy what you typed, then load this page again.");
    } catch {
      tell("This could not be shown: the server does not answer. What you typed still stands here. Press again in a moment.");
    }
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest("a[data-anew]") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    showNow();
  });
  window.addEventListener("popstate", ({ state }) => {
    if (!state) noteShown();
    else if (state.shown !== shown) location.reload();
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && [...document.forms].some((form) => !sent.has(form) && isHalfWritten(form))) event.preventDefault();
  });

  // Whoever types is there, although nothing is asked of the server: what asks by itself says so.
  document.addEventListener("input", () => {
    typing = true;
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (typing) delete event.detail.headers["Neap-By-Itself"];
    typing = false;
  });
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    const to = event.detail.xhr.getResponseHeader("HX-Redirect");
    if (!to) return;
    event.preventDefault();
    if (!leaving) signedOut(to);
  });
  kept.giveBack().then((given) => {
    if (given) tell("You were signed out in between. What you had typed stands here again; nothing of it was sent yet.");
  });
}
