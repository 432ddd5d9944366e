// What somebody typed on a page of the desk, to be put into the same page when it comes anew: each text into its field.
// A form that is gone by then (the alert was closed) leaves its text to the form that takes it instead, `data-instead`.
// Where a session ends it lies in this tab alone until they are signed in again, sealed under a key that only a page of
// their own has; it is deleted once given back, when they sign out in this tab, or when somebody else signs in here.
const kept = {};
{
  const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  const NEVER = ["hidden", "password", "file"];
  const NAME = "neap-kept";

  const isTicked = (field) => field.type === "checkbox" || field.type === "radio";

  kept.differs = (field) => {
    if (isTicked(field)) return field.checked !== field.defaultChecked;
    if (field.type !== "select-one") return "defaultValue" in field && field.value !== field.defaultValue;
    const given = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(given, 0);
  };

  // The forms of the page that change something.
  kept.forms = () => [...document.forms].filter((form) => form.method === "post" && form.getAttribute("role") !== "search");

  // Of all forms but one, whose texts come back with the page.
  kept.typed = (but) => kept.forms().filter((form) => form !== but).flatMap((form) =>
    [...form.elements].filter((field) => field.name && !NEVER.includes(field.type) && kept.differs(field)).map((field) => ({
      action: form.getAttribute("action"),
      shown: form.elements.namedItem("shown")?.value,
      name: field.name,
      long: field.type === "textarea",
      ticked: isTicked(field) ? field.checked : null,
      value: field.value,
    })));

  // A page gives a form that makes something a fresh id each time; any other is of one record, and of no other.
  function formOf(action) {
    const forms = kept.forms();
    const like = (address) => address.replace(UUID, "*");
    return forms.find((form) => form.getAttribute("action") === action)
      ?? forms.find((form) => "makes" in form.dataset && like(form.getAttribute("action")) === like(action));
  }

  function fieldOf({ action, name, long, ticked, value }) {
    const form = formOf(action);
    const field = form && [...form.elements].find((each) => each.name === name && (ticked === null || each.value === value));
    if (field || !long) return field;
    return document.querySelector(`form[data-instead~="${action}"] textarea`);
  }

  // What was written at length and finds no field any more is shown, to be copied.
  kept.give = (typed) => {
    const homeless = [];
    for (const each of typed) {
      const field = fieldOf(each);
      if (!field) {
        if (each.long && each.value.trim()) homeless.push(each.value);
        continue;
      }
      // What the form's page had shown: what somebody else has changed since is not set back.
      const shown = each.shown && field.form.elements.namedItem("shown");
      if (shown) shown.value = each.shown;
      if (each.ticked !== null) field.checked = each.ticked;
      else if (each.long && field.value.trim()) field.value = `${field.value}\n${each.value}`;
      else field.value = each.value;
      for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    }
    if (homeless.length) showHomeless(homeless);
  };

  function showHomeless(texts) {
    const told = document.createElement("p");
    told.textContent = "Where you had typed this, nothing can be written any more. It is kept nowhere else: copy it where you need it.";
    const boxes = texts.map((text) => {
      const box = document.createElement("textarea");
      Object.assign(box, { readOnly: true, rows: 4, value: text, ariaLabel: "What you had typed" });
      return box;
    });
    // Beside what the server says, which goes with the next press.
    const left = document.getElementById("left-over") ?? document.createElement("div");
    Object.assign(left, { id: "left-over", className: "say bad", role: "alert" });
    left.append(told, ...boxes);
    document.getElementById("said").after(left);
  }

  function bytesOf(letters) {
    return Uint8Array.from(atob(letters.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  }

  function keyOfPage() {
    const { keeps } = document.getElementById("stay").dataset;
    return crypto.subtle.importKey("raw", bytesOf(keeps), "AES-GCM", false, ["encrypt", "decrypt"]);
  }

  kept.forget = () => sessionStorage.removeItem(NAME);

  // Of each page on which something was typed.
  const lying = () => [JSON.parse(sessionStorage.getItem(NAME)) ?? []].flat();

  function lie(rest) {
    if (rest.length) sessionStorage.setItem(NAME, JSON.stringify(rest));
    else kept.forget();
  }

  kept.keep = async () => {
    const typed = kept.typed(null);
    if (!typed.length || !crypto.subtle) return;
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const plain = new TextEncoder().encode(JSON.stringify(typed));
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await keyOfPage(), plain));
    const letters = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    const others = lying().filter(({ page }) => page !== location.pathname);
    lie([...others, { page: location.pathname, iv: letters(iv), sealed: letters(sealed) }]);
  };

  // Whether something was given back to this page. What cannot be opened is somebody else's.
  kept.giveBack = async () => {
    // It waits until its page comes.
    if (document.querySelector("[data-error]")) return false;
    const lies = lying().find(({ page }) => page === location.pathname) ?? lying()[0];
    if (!lies) return false;
    let typed;
    try {
      const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv: bytesOf(lies.iv) }, await keyOfPage(), bytesOf(lies.sealed));
      typed = JSON.parse(new TextDecoder().decode(plain));
    } catch {
      kept.forget();
      return false;
    }
    if (lies.page !== location.pathname) return false;
    lie(lying().filter(({ page }) => page !== location.pathname));
    kept.give(typed);
    return !document.getElementById("left-over");
  };
}
