// Why a field was refused stands beside the field, as on a page that came back without script (`refilling.py`).
const refused = {
  // The first field of the form that goes by the name of a fault; lists and parts name their field first.
  fieldOf(form, named) {
    const spelt = named.replaceAll(" ", "_");
    const names = [named, spelt, spelt.split("[")[0], spelt.split(".")[0]];
    return [...form.elements].find((field) =>
      field.type !== "hidden" && [field.name, ...(field.dataset.refused ?? "").split(" ")].some((each) => each && names.includes(each)));
  },

  clear(form) {
    for (const told of form.querySelectorAll(".refused")) told.remove();
    for (const field of form.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
  },

  // A box that says "all the same" says it of what is refused now, and is not ticked for it yet.
  askAnew(form, said) {
    for (const box of form.querySelectorAll("[data-answers]")) {
      const fault = said.querySelector(`[data-field="${box.dataset.answers}"]`);
      if (!fault) continue;
      box.value = refused.wordsOf(fault);
      box.checked = false;
    }
  },

  wordsOf: (fault) => fault.lastChild.textContent.replace(/^: /, ""),

  // What is told in `said` about a field of this form goes there; the first one gets the focus.
  mark(form, said) {
    let first = null;
    refused.askAnew(form, said);
    for (const [number, fault] of [...said.querySelectorAll("[data-field]")].entries()) {
      const field = refused.fieldOf(form, fault.dataset.field);
      if (!field || field.hasAttribute("aria-invalid")) continue;
      const told = document.createElement("p");
      told.className = "refused";
      told.id = `refused-${number}`;
      told.textContent = refused.wordsOf(fault);
      const ticked = field.type === "checkbox" || field.type === "radio";
      if (ticked) (field.closest("label") ?? field).before(told);
      else field.after(told);
      field.setAttribute("aria-invalid", "true");
      field.setAttribute("aria-describedby", told.id);
      first ??= field;
      fault.remove();
    }
    for (const list of said.querySelectorAll("ul")) if (!list.children.length) list.remove();
    first?.focus();
  },
};
