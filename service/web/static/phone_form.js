// The scales: 0 to 10 as radio buttons that begin empty, the last answer dashed.

import { say } from "./phone_words.js";

export const CRAVING_OF = {
  alcohol: () => say("Craving for alcohol"),
  cocaine: () => say("Craving for cocaine"),
  opioid: () => say("Craving for heroin or another opioid"),
  other: () => say("Craving for something else"),
};

// One scale for each substance of the course, the primary one first. A course with one substance does not name it:
// somebody may look over the client's shoulder.
export function showCravings(place, name, substances, when) {
  const shown = Array.from(place.children, (scale) => scale.dataset.scale).join();
  if (shown === substances.map((substance) => `${name}.${substance}`).join()) return;
  const scales = substances.map((substance) => {
    const scale = document.getElementById("craving-scale").content.cloneNode(true).querySelector("fieldset");
    const words = substances.length === 1 ? say("Craving") : CRAVING_OF[substance]();
    scale.dataset.scale = `${name}.${substance}`;
    scale.querySelector("legend").textContent = `${words}, ${when}`;
    for (const input of scale.querySelectorAll("input")) input.name = `${name}.${substance}`;
    return scale;
  });
  place.replaceChildren(...scales);
}

const scales = () => Array.from(document.querySelectorAll("#answers fieldset.scale"));

export const scoresOf = ({ craving, mood, anxiety }) => ({ craving, mood, anxiety });

// Mark the answers given last. Nothing is chosen beforehand: a preset value would be sent by whoever is in a hurry.
export function showLast(last) {
  for (const scale of scales()) {
    const [item, substance] = scale.dataset.scale.split(".");
    const value = substance ? (last.craving || {})[substance] : last[item];
    for (const score of scale.querySelectorAll(".score")) {
      const isLast = Number(score.querySelector("input").value) === value;
      score.classList.toggle("last", isLast);
      score.querySelector(".last-word").hidden = !isLast;
    }
  }
}

function chosen(form, name) {
  const input = form.querySelector(`input[name="${name}"]:checked`);
  return input ? input.value : null;
}

function scoreOf(form, name) {
  const value = chosen(form, name);
  return value === null ? null : Number(value);
}

// Whether anything is filled in.
export function asked(form) {
  return Boolean(form.querySelector("input:checked")) || form.elements.note.value.trim() !== "";
}

// Where something was left out, until it is answered. The words stand where the finger is, at the button; nothing jumps.
export function mark(form, left) {
  for (const each of form.querySelectorAll("fieldset")) each.classList.toggle("left-out", left.includes(each));
}

export function unmark(input) {
  const answered = input.closest("fieldset");
  if (answered) answered.classList.remove("left-out");
}

// The scores as they are chosen on the screen, whatever the course treats by now.
export function readCravings(form, name) {
  const chosenOnes = Array.from(form.querySelectorAll(`input[name^="${name}."]:checked`));
  return Object.fromEntries(chosenOnes.map((input) => [input.name.split(".")[1], Number(input.value)]));
}

// What is filled in, as the server wants it; `missing` are the scales left empty, `isBare` that all of them are, and
// `nothing` that nothing else is answered either.
export function readAnswers(form) {
  const used = Array.from(form.querySelectorAll("input[name=used]:checked"), (box) => box.value);
  const safety = chosen(form, "safety");
  const answers = {
    craving: readCravings(form, "craving"),
    mood: scoreOf(form, "mood"),
    anxiety: scoreOf(form, "anxiety"),
    used: used.length ? used.filter((value) => value !== "none") : null,
    safety: safety === null ? null : safety === "yes",
    note: form.elements.note.value.trim() || null,
  };
  const missing = scales()
    .filter((scale) => chosen(form, scale.dataset.scale) === null)
    .map((scale) => ({ words: scale.querySelector("legend").textContent.split(",")[0].toLowerCase(), scale }));
  const isBare = missing.length === scales().length;
  return { answers, missing, isBare, nothing: isBare && safety === null && !used.length && !answers.note };
}
