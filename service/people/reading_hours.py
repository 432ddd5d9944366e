"""What clients are told of when their answers are read: a sentence that follows from the clinic's hours.

Texts are marked `say("…")` and stand in the catalogues of the client's page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from zoneinfo import ZoneInfo

from babel.dates import get_day_names, get_timezone_location

Hours = Mapping[str, tuple[str, str]]
Say = Callable[[str], str]

WORKING_DAYS, EVERY_DAY = "12345", "1234567"


def notice(hours: Hours, zone: ZoneInfo, addition: str, *, language: str = "en", say: Say = str) -> str:
    """The sentence, and after it what the clinic adds in its own words.

    `hours` are opening and closing time ("09:00", "17:00") by ISO weekday; `say` translates into `language`.
    """
    return f"{_sentence(hours, zone, language, say)} {addition}".rstrip()


def _sentence(hours: Hours, zone: ZoneInfo, language: str, say: Say) -> str:
    if not hours:
        return say("There is no fixed time at which answers are read.")
    days, spans = "".join(sorted(hours)), set(hours.values())
    place = get_timezone_location(zone, locale=language, return_city=True)
    if len(spans) == 1 and days in (WORKING_DAYS, EVERY_DAY):
        [(opens, closes)] = spans
        told = {"opens": _clock(opens), "closes": _clock(closes), "place": place}
        if days == WORKING_DAYS:
            return say("Read on working days, %(opens)s to %(closes)s, %(place)s time.") % told
        return say("Read every day, %(opens)s to %(closes)s, %(place)s time.") % told
    parts = [_part(run, language, say) for run in _runs(hours)]
    return say("Read %(days)s, %(place)s time.") % {"days": "; ".join(parts), "place": place}


def _runs(hours: Hours) -> list[list[tuple[int, tuple[str, str]]]]:
    """Days that follow one another and have the same hours, together."""
    days = sorted((int(day), span) for day, span in hours.items())
    runs = groupby(enumerate(days), key=lambda each: (each[1][0] - each[0], each[1][1]))
    return [[day for _, day in run] for _, run in runs]


def _part(run: list[tuple[int, tuple[str, str]]], language: str, say: Say) -> str:
    opens, closes = run[0][1]
    names = get_day_names("wide", locale=language)
    told = {"first": names[run[0][0] - 1], "last": names[run[-1][0] - 1]}
    told |= {"opens": _clock(opens), "closes": _clock(closes)}
    if len(run) == 1:
        return say("%(first)s %(opens)s to %(closes)s") % told
    if len(run) == 2:
        return say("%(first)s and %(last)s %(opens)s to %(closes)s") % told
    return say("%(first)s to %(last)s %(opens)s to %(closes)s") % told


def _clock(at: str) -> str:
    """ "09:00" as one says it: "9"; "09:30" as "9:30"."""
    return at.removesuffix(":00").removeprefix("0") or "0"
