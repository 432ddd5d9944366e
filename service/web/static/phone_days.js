// Days and times: as the server wants them, and as a person reads them.
import { language } from "./phone_words.js";

// A client day ends at four in the morning; the server decides, this only chooses the words while offline.
const DAY_ENDS_AT_HOUR = 4;

// "2026-11-22T19:14:03-06:00": the local time with its offset, as the phone's clock shows it.
export function localTime(date) {
  const two = (number) => String(number).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const far = Math.abs(offset);
  const day = `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day}T${time}${offset < 0 ? "-" : "+"}${two(Math.floor(far / 60))}:${two(far % 60)}`;
}

// The zone goes with the time: an answer keeps its day also where the phone has travelled before it is sent.
export const stampOf = (at) => ({ answered_at: localTime(at), time_zone: zone() });

// An instant whose calendar day is the client day. By the clock on the wall: four is four, also on the nights on which
// it is changed.
function dayShifted(date) {
  const day = new Date(date);
  day.setHours(day.getHours() - DAY_ENDS_AT_HOUR);
  return day;
}

export const dayOf = (date) => localTime(dayShifted(date)).slice(0, 10);

// When the client day ends that it is.
export function dayEnd(date) {
  const day = dayShifted(date);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1, DAY_ENDS_AT_HOUR);
}

// As the phone's owner reads days and times, where the page has their language.
const locale = navigator.languages.find((each) => each.split("-")[0] === language) || language;

const inWords = (date, options) => new Intl.DateTimeFormat(locale, options).format(date);

export const clock = (date) => inWords(date, { hour: "2-digit", minute: "2-digit" });

export const weekday = (date) => inWords(date, { weekday: "long", day: "numeric", month: "long" });

export const dayAndTime = (date) =>
  dayOf(date) === dayOf(new Date()) ? clock(date) : `${weekday(date)}, ${clock(date)}`;

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

// Whether this is a day as the clinic tells it; something in between may answer with anything.
export const isDay = (today) => Boolean(today && today.client_day && Array.isArray(today.substances));
