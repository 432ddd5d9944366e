"""Findings and trends as sentences with their numbers, as they stand on a page; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from schemas.alert import Finding, Rule
from schemas.course import Pause
from schemas.trend import Status

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Lists of three numbers in a finding are in this order.
ITEMS = ("craving", "mood", "anxiety")
# An item's change is worth a word when the item more likely than not takes part in the worsening.
TAKES_PART = 0.5
# Less is 0.0 in words.
LEAST_TOLD = 0.05
GATE_ITEMS = {"screen": "drug screen", "pressure": "blood pressure", "checklist": "complete list of contraindications"}
OWN_CHECK_INS_NEEDED = 7
FIRST_DAYS_NEEDED = 21
# So many standard errors to each side hold the middle 80 %.
MIDDLE_80 = 1.2816
# From this share of the limit on a statistic is watched; a client not above it is watched because a benefit wanes.
WATCHED_SHARE = 0.5
# When what lies beyond the limit raises no alert.
NOT_YET = f"None opens in the first {FIRST_DAYS_NEEDED} days, in the week after another, or from few check-ins."


def of_finding(finding: Finding, today: date) -> str:
    """Why the rule fired, in one sentence; days of another year than `today`'s with theirs."""
    numbers, on = finding.numbers, day(finding.client_day, today)
    match finding.rule:
        case Rule.SAFETY:
            return f"Safety question answered yes on {on}{_late(numbers)}."
        case Rule.OPIOID_USE:
            before = f"none in the {_whole(numbers.get('days_looked_back'), 7)} days before: tolerance may be lower"
            return f"Use of {_used(numbers)} reported on {on}, {before}{_late(numbers)}."
        case Rule.OTHER_USE:
            return f"Use of {_used(numbers)} reported on {on}{_late(numbers)}."
        case Rule.INSTRUMENT_SAFETY:
            return f"{_instrument_safety(numbers)} on {on}{_late(numbers)}."
        case Rule.WORSENING:
            return _worsening(finding, today)
        case Rule.WANING:
            return _waning(finding, today)
        case Rule.SILENCE_AFTER_INFUSION:
            return f"No answer for {_days(numbers.get('silent_days'))}, {_after_infusion(numbers)}."
        case Rule.SILENCE:
            return f"No answer for {_days(numbers.get('silent_days'))}."
        case Rule.LEARNING:
            return f"Learning what is usual since {on}: it takes {_to_learn(numbers)}."
        case Rule.IMPROVING:
            return _improving(finding)
        case Rule.GATE_PENDING:
            return f"Gate of the infusion on {on} still open {_hours(numbers)} before{_still_missing(numbers)}."
        case Rule.GIVEN_NOT_CLEAR:
            return f"The infusion of {on} was given, and {_gate_then(numbers)}."
        case Rule.UNCOVERED_WINDOW:
            return f"The therapy window{_of_infusion(numbers, today)} closes on {on}, and {_in_window(numbers)}."


def _to_learn(numbers: Mapping[str, object]) -> str:
    check_ins = f"{_whole(numbers.get('check_ins_needed'), OWN_CHECK_INS_NEEDED)} check-ins"
    # Found before the days were stored, it may have been the first time or not.
    days = _whole(numbers.get("days_needed"), 0)
    return f"{days} days and at least {check_ins}" if days else f"at least {check_ins}"


def _gate_then(numbers: Mapping[str, object]) -> str:
    if numbers.get("gate") == "hold":
        return "its gate was on hold"
    if numbers.get("had_lapsed") is True:
        return "what was decided at its gate no longer held"
    return "nobody had decided at its gate"


def tenths(value: float) -> str:
    """A number with one decimal, halves up, as one rounds by hand: 1.25 is "1.3"."""
    return str(Decimal(repr(float(value))).quantize(Decimal("0.1"), ROUND_HALF_UP))


def evidence_of(finding: Finding) -> list[tuple[str, str]]:
    """The numbers that the finding rests on, as (name, value), enough to judge it by; check-ins as their count."""
    rows: list[tuple[str, str]] = []
    for name, value in finding.numbers.items():
        if name == "check_in_ids" and isinstance(value, list):
            rows.append(("check-ins", str(len(value))))
        elif isinstance(value, bool | int | float | str):
            rows.append((words(name), _plain(value)))
        elif isinstance(value, list) and len(value) == len(ITEMS) and all(_is_number_or_none(each) for each in value):
            rows.append(
                (words(name), ", ".join(f"{item} {_plain(each)}" for item, each in zip(ITEMS, value, strict=True)))
            )
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            rows.append((words(name), ", ".join(value) or "none"))
    return rows


def changes_of(finding: Finding) -> list[Mapping[str, object]]:
    """Of a worsening: how each item changed since the onset; of an improvement: how it lies against usual."""
    items = finding.numbers.get("items")
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def onset_of(finding: Finding) -> tuple[date, date, date] | None:
    """Of a worsening: earliest, likeliest and latest day on which it began."""
    on = [finding.numbers.get(name) for name in ("onset_first_on", "onset_on", "onset_last_on")]
    if all(isinstance(each, str) for each in on):
        first, likeliest, last = (date.fromisoformat(str(each)) for each in on)
        return first, likeliest, last
    # Found before dates were stored; where no pause lies between, the days back are the same.
    days = [finding.numbers.get(name) for name in ("onset_days_high", "onset_days", "onset_days_low")]
    if not all(isinstance(each, int) for each in days):
        return None
    first, likeliest, last = (finding.client_day - timedelta(days=_whole(each, 0)) for each in days)
    return first, likeliest, last


def precision_of(finding: Finding, today: date) -> str:
    """Of a worsening: between which numbers its size and its beginning lie, in words; "" of anything else."""
    onset = onset_of(finding)
    if onset is None:
        return ""
    sizes = [f"{each.get('item')} {_range(each)}" for each in _taking_part(finding)]
    if finding.numbers.get("again") is True:
        return f"With 80 % certainty {', '.join(sizes)}." if sizes else ""
    first, last = day(onset[0], today), day(onset[2], today)
    began = f"began on {first}" if first == last else f"began between {first} and {last}"
    return f"With 80 % certainty {', '.join([*sizes, f'it {began}'])}."


def of_status(
    status: Status | None, *, silent_days: int | None, answered_ever: int, share_of_limit: float | None
) -> str:
    """Why a client has this status, where no finding says it better; "" where nothing needs saying."""
    match status:
        case None:
            return "No client day has ended yet."
        case Status.NO_DATA:
            return f"No answer for {_days(silent_days)}."
        case Status.LEARNING if answered_ever < OWN_CHECK_INS_NEEDED:
            needed = f"{FIRST_DAYS_NEEDED} days and at least {OWN_CHECK_INS_NEEDED} check-ins"
            return f"Learning what is usual: it takes {needed}, {answered_ever} so far."
        case Status.LEARNING:
            anew = f"{OWN_CHECK_INS_NEEDED} check-ins after a new usual"
            return f"Learning what is usual: it takes the first {FIRST_DAYS_NEEDED} days, and {anew}."
        case Status.WATCH if share_of_limit is not None and share_of_limit <= WATCHED_SHARE:
            return "The benefit of the last infusion is waning."
        case Status.WATCH:
            share = "" if share_of_limit is None else f" ({share_of_limit:.0%} of the limit)"
            if beyond(share_of_limit):
                why = "None opens on a day without an answer." if silent_days else NOT_YET
                return f"Beyond what is usual{share}, without an alert. {why} Please look yourself."
            return f"Near the edge of what is usual{share}."
        case Status.NOT_ON_TRACK:
            silent = f" No answer for {_days(silent_days)}." if silent_days else ""
            return f"Not yet back to usual after an earlier alert.{silent}"
        case Status.ON_TRACK:
            return ""


def of_pause(pause: Pause, today: date) -> str:
    """Until when a client pauses, and why: "Paused until 27 Nov, travel."."""
    until = "until somebody ends it" if pause.until_on is None else f"until {day(pause.until_on, today)}"
    return f"Paused {until}, {words(pause.reason)}."


def share_of_limit(statistic: float | None, limit: float | None) -> float | None:
    """How much of the limit the statistic has reached, None where there is no limit yet."""
    return statistic / limit if statistic is not None and limit else None


def beyond(share: float | None) -> bool:
    """Whether somebody is further from what is usual than what raises an alert at other times, by `share_of_limit`."""
    return share is not None and share > 1


def day(value: date, today: date) -> str:
    """A client day: "18 Nov", with its year where that is not this year's: "18 Nov 2024"."""
    year = "" if value.year == today.year else f" {value.year}"
    return f"{value.day} {MONTHS[value.month - 1]}{year}"


def span(first: date, last: date, today: date) -> str:
    """Client days from the first to the last: "9 to 16 Oct", "28 Sep to 3 Oct"; one alone: "9 Oct"."""
    if first == last:
        return day(last, today)
    begin = str(first.day) if (first.year, first.month) == (last.year, last.month) else day(first, today)
    return f"{begin} to {day(last, today)}"


def words(code: str) -> str:
    """A name of the database as words."""
    return code.replace("_", " ")


def _instrument_safety(numbers: Mapping[str, object]) -> str:
    questions, answers = numbers.get("questions", numbers.get("items")), numbers.get("answers")
    if not isinstance(questions, list) or not isinstance(answers, list):
        return "Urgent answer"
    said = [f"question {number} “{answer}”" for number, answer in zip(questions, answers, strict=False)]
    return f"{numbers.get('instrument')}: {' and '.join(said)}"


def _worsening(finding: Finding, today: date) -> str:
    parts = [_change(each) for each in _taking_part(finding)] or ["Scores worse than usual"]
    onset = onset_of(finding)
    since = f" since about {day(onset[1], today)}" if onset else ""
    answered = finding.numbers.get("answered_of_last_7")
    share = f"; {answered} of 7 days answered" if isinstance(answered, int) else ""
    # The count began anew with the crossing before, so it does not know since when.
    still = finding.numbers.get("again") is True
    sentence = f"still not back to usual: {', '.join(parts)}" if still else ", ".join(parts) + since
    return sentence[0].upper() + sentence[1:] + share + "."


def _change(item: Mapping[str, object]) -> str:
    change = _number(item.get("change"))
    return f"{item.get('item')} {tenths(abs(change))} points {_side(change)} usual"


def _side(change: float) -> str:
    return "above" if change > 0 else "below"


def _taking_part(finding: Finding) -> list[Mapping[str, object]]:
    """The items that more likely than not take part in a worsening, the largest change first; none that is told as
    better, or as no other, than usual."""
    moved = [each for each in changes_of(finding) if _number(each.get("share")) >= TAKES_PART and _is_worse(each)]
    return sorted(moved, key=lambda each: -abs(_number(each.get("change"))))


def _is_worse(item: Mapping[str, object]) -> bool:
    change = _number(item.get("change"))
    worse = -change if item.get("item") == "mood" else change
    return worse >= LEAST_TOLD


def _range(item: Mapping[str, object]) -> str:
    """The middle 80 % of an item's change; one that may as well be nothing begins at 0."""
    change, around = _number(item.get("change")), MIDDLE_80 * _number(item.get("se"))
    low, high = max(abs(change) - around, 0.0), abs(change) + around
    return f"is {tenths(low)} to {tenths(high)} points {_side(change)} usual"


def _improving(finding: Finding) -> str:
    better = [each for each in changes_of(finding) if _is_better(each)]
    better.sort(key=lambda each: -abs(_number(each.get("change"))))
    return f"Better than usual: {', '.join(_change(each) for each in better) or 'all items a little'}."


def _is_better(item: Mapping[str, object]) -> bool:
    """Whether an item lies on its better side by more than its standard error."""
    change = _number(item.get("change"))
    return (change if item.get("item") == "mood" else -change) > _number(item.get("se"))


def _waning(finding: Finding, today: date) -> str:
    numbers = finding.numbers
    since, half = numbers.get("days_since_infusion"), numbers.get("days_to_half")
    after = f", {_days(since)} after the infusion" if isinstance(since, int) else ""
    if not isinstance(half, int | float):
        return f"The benefit of the last infusion is waning{after}."
    gone = f"half of it is gone after about {_days(round(half))}{_interval(numbers)}"
    return f"The benefit of the last infusion is waning{after}: {gone}{_next_infusion(numbers, today)}."


def _interval(numbers: Mapping[str, object]) -> str:
    low, high = (round(_number(numbers.get(name))) for name in ("days_to_half_low", "days_to_half_high"))
    return f" ({low} to {high}, 80 %)" if low < high else ""


def _next_infusion(numbers: Mapping[str, object], today: date) -> str:
    if "next_infusion_on" not in numbers:
        return ""
    booked, left = numbers["next_infusion_on"], numbers.get("left_at_next_infusion")
    if not isinstance(booked, str):
        return ", and none is booked"
    booked_on = day(date.fromisoformat(booked), today)
    if not isinstance(left, int | float):
        return f", and the next one is booked for {booked_on}"
    return f", and {_percent(left)} will be left on {booked_on}, when the next one is booked"


def _percent(share: float) -> str:
    tens = round(10 * share)
    return f"about {10 * tens} %" if tens else "hardly any"


def _after_infusion(numbers: Mapping[str, object]) -> str:
    silent, since = _whole(numbers.get("silent_days"), 0), _whole(numbers.get("days_since_infusion"), -1)
    if silent == since:
        return "the first after an infusion"
    return f"the last {since} after an infusion" if 0 < since < silent else "after an infusion"


def _hours(numbers: Mapping[str, object]) -> str:
    hours = round(_number(numbers.get("hours_left")))
    return "less than an hour" if hours < 1 else f"{hours} h"


def _still_missing(numbers: Mapping[str, object]) -> str:
    missing = numbers.get("missing")
    named = [GATE_ITEMS.get(str(each), words(str(each))) for each in missing] if isinstance(missing, list) else []
    parts = [f"no {' and no '.join(named)}"] if named else []
    if _whole(numbers.get("speaking_for_hold"), 0):
        parts.append("a hold is proposed")
    return ": " + "; ".join(parts) if parts else ""


def _of_infusion(numbers: Mapping[str, object], today: date) -> str:
    given_on = numbers.get("given_on")
    return f" after the infusion of {day(date.fromisoformat(given_on), today)}" if isinstance(given_on, str) else ""


def _in_window(numbers: Mapping[str, object]) -> str:
    if numbers.get("unrecorded_sessions"):
        return "nobody has recorded yet whether the session in it took place"
    return "nothing is booked in it"


def _used(numbers: Mapping[str, object]) -> str:
    used = numbers.get("used")
    return " and ".join(map(str, used)) if isinstance(used, list) and used else "a substance"


def _late(numbers: Mapping[str, object]) -> str:
    late = _whole(numbers.get("late_days"), 0)
    return f" (arrived {_days(late)} late)" if late else ""


def _days(value: object) -> str:
    count = _whole(value, 0)
    return "1 day" if count == 1 else f"{count} days"


def _whole(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) else otherwise


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _is_number_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _plain(value: bool | float | str | None) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
