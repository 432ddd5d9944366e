"""Rows of cells from a CSV or TSV file in UTF-8, as they stand there."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from service import errors

OTHER_DELIMITERS = {";": "semicolons", "|": "bars"}
# A cell of a TSV file is quoted only from tab to tab, so that a quotation mark in a note swallows no row.
QUOTED_CELL = re.compile(r'"((?:[^"\t]|"")*)"(?=[\t\r\n]|\Z)')
PLAIN_CELL = re.compile(r"[^\t\r\n]*")
LINE_END = re.compile(r"\r\n|\r|\n")
RAW_LINE_END = re.compile(rb"\r\n|\r|\n")

# What a cell may hold that is a number, or a day.
NUMBER = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?", re.ASCII)
ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class BadFile(errors.Invalid):
    """The file as a whole cannot be read; one line that names file, line (unless none was read) and column."""

    def __init__(self, path: Path, line: int | None, column: str, why: str) -> None:
        super().__init__(f"{path}: {why}" if line is None else f"{path}: line {line}, column {column}: {why}")


Row = tuple[int, list[str]]
"""The line on which a row starts, 1 the first, and its cells; a quoted cell may span lines."""


def rows_of(path: Path) -> Iterator[Row]:
    """Every row, the header first. A file with a tab in its first line is TSV, any other CSV.

    Raises BadFile, while the rows are read, for a file that is missing, not UTF-8, not a table or split otherwise.
    """
    text = _text_of(path)
    first_line = LINE_END.split(text, maxsplit=1)[0]
    delimiter = "\t" if "\t" in first_line else ","
    for other, name in OTHER_DELIMITERS.items():
        if first_line.count(other) > first_line.count(delimiter):
            raise BadFile(path, 1, "-", f"split by {name}; expected are commas (CSV) or tabs (TSV)")
    if delimiter == "\t":
        yield from _tab_separated(text)
        return
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for cells in rows:
            yield start, cells
            start = rows.line_num + 1
    except csv.Error as error:
        raise BadFile(path, start, "-", f"not a table ({_why_no_row(error, start, rows.line_num)})") from error


def _why_no_row(error: csv.Error, start: int, end: int) -> str:
    """Where a quotation mark is left open, what breaks is found lines later, or at the end of the file only."""
    if "unexpected end of data" in str(error):
        return "a quotation mark opens here and never closes"
    return f"a quotation mark opens here and closes inside of a cell in line {end}" if end > start else str(error)


def header_of(path: Path, rows: Iterator[Row]) -> list[str]:
    """Take the first of the rows, the names of the columns. Raises BadFile where there is none."""
    _, first = next(rows, (0, None))
    if first is None:
        raise BadFile(path, 1, "-", "the file is empty; the first line must name the columns")
    names = [name.strip() for name in first]
    if not any(names):
        raise BadFile(path, 1, "-", "the line is empty; the first must name the columns")
    return names


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadFile(path, None, "-", f"cannot be read ({error.strerror})") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = RAW_LINE_END.split(raw[: error.start])
        raise BadFile(path, len(before), f"at byte {len(before[-1]) + 1}", "not UTF-8 text") from error


def _tab_separated(text: str) -> Iterator[Row]:
    line, start, at, cells = 1, 0, 0, []
    while at < len(text):
        quoted = QUOTED_CELL.match(text, at)
        if quoted is not None:
            cells.append(quoted[1].replace('""', '"'))
            at = quoted.end()
        else:
            plain = PLAIN_CELL.match(text, at)
            assert plain is not None, "matches the empty cell too"
            cells.append(plain[0])
            at = plain.end()
        if text.startswith("\t", at):
            at += 1
            if at < len(text):
                continue
            cells.append("")
        line_end = LINE_END.match(text, at)
        at = at if line_end is None else line_end.end()
        yield line, cells
        line += len(LINE_END.findall(text, start, at))
        start, cells = at, []
