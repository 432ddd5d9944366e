// What somebody typed on a page of the desk, to be put into the same page when it comes anew: each text into its field.
// A form that is gone by then (the alert was closed) leaves its text to the form that takes it instead, `data-instead`.
const kept = {};
{
  const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  const NEVER = ["hidden", "password", "file"];

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

  kept.give = (typed) => {
    for (const each of typed) {
      const field = fieldOf(each);
      if (!field) continue;
      if (each.ticked !== null) field.checked = each.ticked;
      else if (each.long && field.value.trim()) field.value = `${field.value}\n${each.value}`;
      else field.value = each.value;
      for (let fold = field.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    }
  };
}
