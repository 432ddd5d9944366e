// The client's own answers of the last four weeks: lines that break where no answer was, and the same as a table.
import { clock, weekday } from "./phone_days.js";
import { CRAVING_OF } from "./phone_form.js";
import { element, page } from "./phone_page.js";
import { Unreachable, askAsDevice } from "./phone_server.js";
import { say } from "./phone_words.js";

const DAYS = 28;
const FIRST_PAGE = "/v1/check-ins?limit=200";
const [WIDTH, HEIGHT, LEFT, TOP] = [320, 96, 22, 8];
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

const dayNumber = (day) => Math.round(Date.parse(`${day}T00:00:00Z`) / DAY_MILLISECONDS);

const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

function drawn(name, attributes, text) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
  if (text !== undefined) shape.textContent = text;
  return shape;
}

const USED = {
  alcohol: () => say("Alcohol"),
  cocaine: () => say("Cocaine"),
  opioid: () => say("Heroin or another opioid"),
  other: () => say("Something else"),
};

const hasScores = ({ craving, mood, anxiety }) => Object.keys(craving).length || (mood ?? anxiety ?? null) !== null;

// Of each client day the newest daily check-in that has scores: as the clinic counts. Moments stand by themselves.
function daysOf(items) {
  const days = new Map();
  for (const item of items) {
    if (item.kind === "daily" && hasScores(item) && !days.has(item.client_day)) days.set(item.client_day, item);
  }
  return days;
}

function panel(title, days, valueOf, last) {
  const x = (day) => LEFT + ((dayNumber(day) - last + DAYS - 1) / (DAYS - 1)) * (WIDTH - LEFT - 6);
  const y = (value) => TOP + (1 - value / 10) * (HEIGHT - 2 * TOP);
  const chart = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, class: "chart" });
  for (const value of [0, 5, 10]) {
    chart.append(drawn("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "grid" }));
    chart.append(drawn("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value));
  }
  let path = "";
  let before = null;
  for (const [day, item] of [...days].sort()) {
    const value = valueOf(item);
    if (value === null || value === undefined) continue;
    path += `${before !== null && dayNumber(day) - before === 1 ? "L" : "M"}${x(day).toFixed(1)} ${y(value).toFixed(1)}`;
    before = dayNumber(day);
    chart.append(drawn("circle", { cx: x(day), cy: y(value), r: 2.5 }));
  }
  chart.prepend(drawn("path", { d: path || "M0 0", class: "line" }));
  const figure = make("figure");
  figure.append(make("figcaption", { textContent: title }), chart);
  return figure;
}

function showItems(items) {
  const last = Math.max(...items.map((item) => dayNumber(item.client_day)));
  const recent = items.filter((item) => last - dayNumber(item.client_day) < DAYS);
  const days = daysOf(recent);
  const dayAt = (number) => weekday(new Date(number * DAY_MILLISECONDS + DAY_MILLISECONDS / 2));
  element("history-words").textContent = say("From {from} to {until}.", { from: dayAt(last - DAYS + 1), until: dayAt(last) });
  const substances = Object.keys(CRAVING_OF).filter((name) => recent.some((item) => name in item.craving));
  const cravingTitle = (name) => (substances.length === 1 ? say("Craving") : CRAVING_OF[name]());
  const chart = make("div");
  chart.append(
    ...substances.map((name) => panel(`${cravingTitle(name)}, 0–10`, days, (item) => item.craving[name], last)),
    panel(say("Mood, 0–10, up is better"), days, (item) => item.mood, last),
    panel(say("Anxiety, 0–10"), days, (item) => item.anxiety, last),
  );
  const table = make("table");
  const head = make("tr");
  head.append(...[say("Day"), say("Answers")].map((text) => make("th", { textContent: text, scope: "col" })));
  table.append(head, ...recent.map((item) => row(item, cravingTitle)));
  const list = make("details", { id: "history-table" });
  list.append(make("summary", { textContent: say("As a list") }), table);
  element("history-place").replaceChildren(chart, list);
}

function row(item, cravingTitle) {
  const line = make("tr");
  const day = weekday(new Date(`${item.client_day}T12:00`));
  const cravings = Object.entries(item.craving).map(([name, value]) => `${cravingTitle(name)} ${value}`);
  const scores = [
    ...cravings,
    ...(item.mood === null ? [] : [`${say("Mood")} ${item.mood}`]),
    ...(item.anxiety === null ? [] : [`${say("Anxiety")} ${item.anxiety}`]),
  ];
  if (item.used) scores.push(`${say("Used since last time")}: ${item.used.map((name) => USED[name]()).join(", ") || say("Nothing")}`);
  if (item.safety !== null) scores.push(say("The question about safety: answered"));
  const at = `${day}, ${clock(new Date(item.answered_at))}`;
  const said = [...scores, ...(item.note ? [item.note] : [])].join(" · ");
  for (const text of [item.kind === "moment" ? `${at} · ${say("Craving now")}` : at, said]) {
    line.append(make("td", { textContent: text }));
  }
  return line;
}

// The check-ins of the days that are drawn, and some before them: a page holds 200, with moments fewer days than that.
async function recentItems() {
  const items = [];
  let address = FIRST_PAGE;
  let next;
  do {
    const reply = await askAsDevice(page.store, "GET", address);
    items.push(...reply.items);
    next = reply.next;
    address = `${FIRST_PAGE}&before=${encodeURIComponent(next)}`;
  } while (next && dayNumber(items[0].client_day) - dayNumber(items.at(-1).client_day) < DAYS);
  return items;
}

// Fetched each time and kept nowhere on the phone.
export async function showHistory() {
  const words = element("history-words");
  const style = document.querySelector("link[href$='/phone.css']").href.replace("phone.css", "phone_history.css");
  if (!document.querySelector(`link[href="${style}"]`)) document.head.append(make("link", { rel: "stylesheet", href: style }));
  words.textContent = say("One moment.");
  try {
    const all = await recentItems();
    const { since } = await page.store.kept("pin");
    const items = all.filter(({ client_day: day }) => !since || day >= since);
    if (page.view !== "history") return;
    if (items.length) showItems(items);
    else words.textContent = say("Your answers will be here after the first check-in.");
    if (items.length < all.length) words.append(` ${say("Earlier ones open with a new code from your clinic.")}`);
  } catch (error) {
    words.textContent =
      error instanceof Unreachable
        ? say("This needs a connection. Please try again.")
        : say("That did not work just now. Please try again later.");
  }
}
