"""Reading a daily history as columns of numbers: a million client days in a few seconds and some tens of megabytes.

The cells mean what they mean to the import (docs/import.md); but one that cannot be taken ends the reading, because a
back-test of part of a file would answer another question.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from service import tables
from service.detection import ITEMS
from service.tables import BadFile

CLIENT, DAY, INFUSION = "client", "day", "infusion"
SCORE_TOP = 10
NOT_ANSWERED = -1
CLIENT_CHARACTERS = 200
EARLIEST = date(1970, 1, 1)
# A wrong century would be folded day by day.
LONGEST_DAYS = 20 * 366


@dataclass(frozen=True)
class Answers:
    """A file's rows, sorted by client and day; the rows of `clients[i]` are `starts[i]` to `starts[i + 1]`.

    `day` (R,) as proleptic ordinals; `scores` (R, 3) craving, mood, anxiety, NOT_ANSWERED where there is none;
    `infusion` (R,). `asked` names the items that have a column.
    """

    clients: list[str]
    starts: npt.NDArray[np.int64]
    day: npt.NDArray[np.int32]
    scores: npt.NDArray[np.int8]
    infusion: npt.NDArray[np.bool_]
    asked: tuple[str, ...]

    @property
    def first_days(self) -> npt.NDArray[np.int64]:
        """The ordinal of each client's first day."""
        return self.day[self.starts[:-1]].astype(np.int64)

    @property
    def spans(self) -> npt.NDArray[np.int64]:
        """How many days each client's series is long, missed ones included."""
        return self.day[self.starts[1:] - 1] - self.first_days + 1

    @property
    def answered(self) -> int:
        """On how many client days at least one item was answered."""
        return int((self.scores != NOT_ANSWERED).any(axis=1).sum())


def read(path: Path) -> Answers:
    """Read a whole file. Raises BadFile, naming line and column, for whatever cannot be taken."""
    rows = tables.rows_of(path)
    header = tables.header_of(path, rows)
    _check_header(path, header)
    client_at, day_at = header.index(CLIENT), header.index(DAY)
    asked = [item for item in ITEMS if item in header]
    columns = [*asked, *([INFUSION] if INFUSION in header else [])]
    reading = _Reading(path)
    cells_of = [(header.index(name), reading.taker(name)) for name in columns]
    width = len(header)
    for line, cells in rows:
        if len(cells) != width:
            if not any(cell.strip() for cell in cells):
                continue
            raise BadFile(path, line, "-", f"{len(cells)} cells under {width} columns")
        if not any(cells) or not "".join(cells).strip():
            continue
        reading.line = line
        reading.take_key(cells[client_at], cells[day_at])
        for at, take in cells_of:
            take(cells[at])
    if not reading.names:
        raise BadFile(path, None, "-", "there is no client in it")
    return _sorted(reading, asked)


def _check_header(path: Path, header: Sequence[str]) -> None:
    for position, name in enumerate(header):
        if name in header[:position]:
            raise BadFile(path, 1, name or f"number {position + 1}", "named twice")
    known = (CLIENT, DAY, *ITEMS, INFUSION)
    missing = [name for name in known if name not in header]
    for name in header:
        # Other columns are left alone; but a typing error is not a lost item.
        near = get_close_matches(name.lower(), missing, n=1, cutoff=0.75) if name and name not in known else []
        if near:
            raise BadFile(path, 1, name, f"unknown column; did you mean {near[0]}?")
    for needed in (CLIENT, DAY):
        if needed in missing:
            raise BadFile(path, 1, needed, "missing")
    if all(item in missing for item in ITEMS):
        raise BadFile(path, 1, "-", "no column holds craving, mood or anxiety")


class _Reading:
    """The columns as they grow; each kind of cell is parsed once a distinct text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.names: dict[str, int] = {}
        self.client, self.day, self.lines = array("i"), array("i"), array("i")
        self.values: dict[str, array[int]] = {}
        self._clients: dict[str, int] = {}
        self._days: dict[str, int] = {}

    def take_key(self, client: str, day: str) -> None:
        """Begin a row."""
        index = self._clients.get(client)
        if index is None:
            index = self._clients[client] = self._client_of(client.strip())
        ordinal = self._days.get(day)
        if ordinal is None:
            ordinal = self._days[day] = self._day_of(day.strip())
        self.client.append(index)
        self.day.append(ordinal)
        self.lines.append(self.line)

    def taker(self, column: str) -> Callable[[str], None]:
        """What takes the cells of one column of numbers."""
        values = self.values[column] = array("b")
        known: dict[str, int] = {}

        def take(text: str) -> None:
            value = known.get(text)
            if value is None:
                value = known[text] = self._number_of(text.strip(), column)
            values.append(value)

        return take

    def _refuse(self, column: str, why: str) -> BadFile:
        return BadFile(self.path, self.line, column, why)

    def _client_of(self, text: str) -> int:
        if not text:
            raise self._refuse(CLIENT, "empty")
        if len(text) > CLIENT_CHARACTERS or not text.isprintable():
            raise self._refuse(CLIENT, f"must be at most {CLIENT_CHARACTERS} printable characters")
        return self.names.setdefault(text, len(self.names))

    def _day_of(self, text: str) -> int:
        if not tables.ISO_DAY.fullmatch(text):
            raise self._refuse(DAY, "must be a date such as 2026-11-22")
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise self._refuse(DAY, "there is no such date") from error
        if day < EARLIEST:
            raise self._refuse(DAY, f"must be {EARLIEST} or later")
        return day.toordinal()

    def _number_of(self, text: str, column: str) -> int:
        if not text:
            return 0 if column == INFUSION else NOT_ANSWERED
        top = 1 if column == INFUSION else SCORE_TOP
        if not tables.NUMBER.fullmatch(text):
            raise self._refuse(column, "must be 1, 0 or empty" if column == INFUSION else "not a number")
        number = Fraction(text.rstrip("."))
        if not 0 <= number <= top:
            raise self._refuse(column, "must be 1, 0 or empty" if column == INFUSION else f"must be 0 to {top}")
        if number.denominator != 1:
            raise self._refuse(column, "must be a whole number")
        return int(number)


def _sorted(reading: _Reading, asked: Sequence[str]) -> Answers:
    names = sorted(reading.names)
    rank = np.empty(len(names), dtype=np.int64)
    rank[[reading.names[name] for name in names]] = np.arange(len(names))
    client, day = rank[np.array(reading.client, dtype=np.int64)], np.array(reading.day, dtype=np.int32)
    order = np.lexsort((day, client))
    client, day = client[order], day[order]
    lines = np.array(reading.lines, dtype=np.int64)[order]
    starts = np.searchsorted(client, np.arange(len(names) + 1))
    _check_days(reading.path, client, day, lines, starts)
    scores = np.full((len(order), len(ITEMS)), NOT_ANSWERED, dtype=np.int8)
    for place, item in enumerate(ITEMS):
        if item in asked:
            scores[:, place] = np.array(reading.values[item], dtype=np.int8)[order]
    given = reading.values.get(INFUSION)
    infusion = np.zeros(len(order), dtype=np.bool_)
    if given is not None:
        infusion = np.array(given, dtype=np.int8)[order] == 1
    return Answers(names, starts, day, scores, infusion, tuple(asked))


def _check_days(
    path: Path,
    client: npt.NDArray[np.int64],
    day: npt.NDArray[np.int32],
    lines: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
) -> None:
    """Raises BadFile for a day that a client has twice, naming both lines, or far from the client's first day."""
    twice = np.flatnonzero((client[1:] == client[:-1]) & (day[1:] == day[:-1]))
    if len(twice):
        pairs = np.sort(np.stack([lines[twice], lines[twice + 1]], axis=1), axis=1)
        first, again = min(pairs.tolist(), key=lambda pair: (pair[1], pair[0]))
        raise BadFile(path, again, DAY, f"lines {first} and {again} hold the same client and day")
    far = np.flatnonzero(day - day[starts[:-1]].repeat(np.diff(starts)) >= LONGEST_DAYS)
    if len(far):
        years = LONGEST_DAYS // 366
        raise BadFile(path, int(lines[far].min()), DAY, f"more than {years} years after the client's first day")
