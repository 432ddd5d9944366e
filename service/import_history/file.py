"""Reading a daily history from a CSV or TSV file: typed days, and a named refusal for every row that cannot be taken.

One row is one client and day. An empty cell or a missing row means not answered. A row is taken whole or refused whole.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path

import msgspec

from schemas.checkin import NOTE_CHARACTERS
from schemas.course import Substance
from service import tables
from service.import_history import maps
from service.import_history.maps import SCORE_TOP, Combination, ImportMap
from service.tables import BadFile

EARLIEST = date(1970, 1, 1)
CLIENT_CHARACTERS = 200
BETWEEN_SUBSTANCES = re.compile(r"[\s;,|+]+")


class Refused(Exception):
    """A cell that cannot be taken; the message never holds the cell's content."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(why)
        self.column = column
        self.why = why


class Refusal(msgspec.Struct, frozen=True):
    """A row that was left out: its line in the file (the header is line 1), the column and the reason."""

    line: int
    column: str
    why: str


class HistoryDay(msgspec.Struct, frozen=True, kw_only=True):
    """What one client answered on one day; None is not answered, `used` [] is none."""

    client: str
    day: date
    line: int
    craving: dict[Substance, int]
    mood: int | None
    anxiety: int | None
    infusion: bool
    used: list[Substance] | None
    note: str | None

    @property
    def answered(self) -> bool:
        """Whether there is anything a check-in could hold."""
        return bool(self.craving) or any(v is not None for v in (self.mood, self.anxiety, self.used, self.note))

    @property
    def told(self) -> bool:
        """Whether the row says anything at all."""
        return self.answered or self.infusion

    def content(self) -> tuple[object, ...]:
        """What was answered, without where it stood."""
        return (self.craving, self.mood, self.anxiety, self.infusion, self.used, self.note)


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A file's days by (client, day), every refusal by line, and how many rows said the same twice.

    `blank`: the days whose rows say nothing, by (client, day); they matter where something was said before.
    """

    path: Path
    map: ImportMap
    days: list[HistoryDay]
    refusals: list[Refusal]
    repeated: int
    blank: list[HistoryDay]


def read(path: Path, *, map_name: str | None, today: date) -> History:
    """Read a whole file; days after `today` are refused.

    Raises BadFile when the file, its encoding or its header cannot be read, Invalid for an unknown map.
    """
    rows = tables.rows_of(path)
    header = tables.header_of(path, rows)
    reading = maps.choose(map_name, header)
    _check_header(path, header, reading)
    return _sorted_out(path, reading, _days(rows, header, reading, today))


def _check_header(path: Path, header: Sequence[str], reading: ImportMap) -> None:
    for position, name in enumerate(header):
        if name in header[:position]:
            raise BadFile(path, 1, name or f"number {position + 1}", "named twice")
    for needed in reading.required(header):
        if needed not in header:
            raise BadFile(path, 1, needed, f"missing (map {reading.name})")
    twice = f"{maps.CRAVING_COLUMN}{reading.primary_substance}"
    if reading.craving_columns and reading.craving and {*reading.craving.columns, twice} <= set(header):
        raise BadFile(path, 1, twice, "craving of the primary substance has a column already")
    known = reading.columns(header)
    if reading.other_columns == "refuse":
        for position, name in enumerate(header):
            if name not in known:
                raise BadFile(path, 1, name or f"number {position + 1}", f"unknown column{_hint(name, reading)}")
    if not reading.scores(header):
        raise BadFile(path, 1, "-", "no column holds craving, mood or anxiety")


def _hint(name: str, reading: ImportMap) -> str:
    by_substance = [maps.CRAVING_COLUMN + substance for substance in Substance]
    single = [reading.client, reading.day, reading.infusion, reading.used, reading.note, "craving", "mood", "anxiety"]
    near = get_close_matches(name, [column for column in single if column] + by_substance, n=1)
    return f"; did you mean {near[0]}?" if near else f" (map {reading.name})"


def _days(
    rows: Iterator[tables.Row], header: Sequence[str], reading: ImportMap, today: date
) -> Iterator[HistoryDay | Refusal]:
    scores = reading.scores(header)
    sources = sorted({column for combination in scores.values() for column in combination.columns})
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            yield Refusal(line, "-", f"{len(cells)} cells under {len(header)} columns")
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        try:
            numbers = {column: _number(row, column, reading) for column in sources}
            yield _day(row, line, reading, scores, numbers, today)
        except Refused as refused:
            yield Refusal(line, refused.column, refused.why)


def _day(
    row: dict[str, str],
    line: int,
    reading: ImportMap,
    scores: dict[str, Combination],
    numbers: dict[str, Fraction | None],
    today: date,
) -> HistoryDay:
    values = {name: _score(name, combination, numbers) for name, combination in scores.items()}
    return HistoryDay(
        client=_client(row[reading.client], reading.client),
        day=_iso_day(row[reading.day], reading.day, today),
        line=line,
        craving={
            Substance(name.removeprefix("craving.")): value
            for name, value in values.items()
            if name.startswith("craving.") and value is not None
        },
        mood=values.get("mood"),
        anxiety=values.get("anxiety"),
        infusion=_infusion(row, reading.infusion),
        used=_used(row, reading),
        note=_note(row, reading.note),
    )


def _number(row: dict[str, str], column: str, reading: ImportMap) -> Fraction | None:
    text = row[column]
    if not text:
        return None
    if not tables.NUMBER.fullmatch(text):
        raise Refused(column, "not a number")
    number = Fraction(text.rstrip("."))
    low, high = reading.ranges.get(column, (None, None))
    if low is not None and high is not None and not low <= number <= high:
        raise Refused(column, f"must be {low} to {high}")
    return number


def _score(name: str, combination: Combination, numbers: dict[str, Fraction | None]) -> int | None:
    value = combination.of(numbers)
    if value is None:
        return None
    if not 0 <= value <= SCORE_TOP:
        raise Refused("+".join(combination.columns), f"{name} must be 0 to {SCORE_TOP}")
    if value.denominator != 1 and not combination.rounds:
        raise Refused("+".join(combination.columns), f"{name} must be a whole number")
    return maps.rounded(value)


def _client(text: str, column: str) -> str:
    if not text:
        raise Refused(column, "empty")
    if len(text) > CLIENT_CHARACTERS or not text.isprintable():
        raise Refused(column, f"must be at most {CLIENT_CHARACTERS} printable characters")
    return text


def _iso_day(text: str, column: str, today: date) -> date:
    if not tables.ISO_DAY.fullmatch(text):
        raise Refused(column, "must be a date such as 2026-11-22")
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Refused(column, "there is no such date") from error
    if not EARLIEST <= day <= today:
        raise Refused(column, f"must be {EARLIEST} to today")
    return day


def _infusion(row: dict[str, str], column: str | None) -> bool:
    text = row.get(column, "") if column else ""
    if text not in ("", "0", "1"):
        raise Refused(column or "-", "must be 1, 0 or empty")
    return text == "1"


def _used(row: dict[str, str], reading: ImportMap) -> list[Substance] | None:
    """Empty: not asked; 0 or none: none; 1: the primary substance; else names, separated by ; or spaces."""
    text = (row.get(reading.used, "") if reading.used else "").lower()
    if not text:
        return None
    if text in ("0", "none"):
        return []
    if text == "1":
        return [reading.primary_substance]
    names = [name for name in BETWEEN_SUBSTANCES.split(text) if name]
    if not set(names) <= set(Substance):
        raise Refused(reading.used or "-", f"must be none or some of {', '.join(Substance)}")
    return sorted({Substance(name) for name in names})


def _note(row: dict[str, str], column: str | None) -> str | None:
    text = row.get(column, "") if column else ""
    if len(text) > NOTE_CHARACTERS or "\x00" in text:
        raise Refused(column or "-", f"must be at most {NOTE_CHARACTERS} characters")
    return text or None


def _sorted_out(path: Path, reading: ImportMap, found: Iterator[HistoryDay | Refusal]) -> History:
    """Join equal rows of a (client, day), and refuse all of them where they contradict each other."""
    refusals: list[Refusal] = []
    groups: defaultdict[tuple[str, date], list[HistoryDay]] = defaultdict(list)
    for each in found:
        if isinstance(each, Refusal):
            refusals.append(each)
        else:
            groups[each.client, each.day].append(each)
    days: list[HistoryDay] = []
    blank: list[HistoryDay] = []
    repeated = 0
    for _, group in sorted(groups.items()):
        first = group[0]
        if any(other.content() != first.content() for other in group[1:]):
            lines = ", ".join(str(other.line) for other in group)
            refusals += [
                Refusal(other.line, reading.day, f"lines {lines} differ for one client and day") for other in group
            ]
            continue
        repeated += len(group) - 1
        (days if first.told else blank).append(first)
    refusals.sort(key=lambda refusal: refusal.line)
    return History(path=path, map=reading, days=days, refusals=refusals, repeated=repeated, blank=blank)
