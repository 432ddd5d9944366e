"""The rules of a back-test: those that are shipped, or those of a file that `calibrate` made."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from service import errors, plain_words
from service.detection import Rules, plausible
from service.detection.population import Shipped, load_shipped

MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")


def load(path: Path | None, *, budget_days: float | None) -> Rules:
    """The rules of a file (None: the shipped ones) at a budget (None: the file's own).

    Raises Invalid, in one line, for a file that is no rules file and for a budget outside of its grid.
    """
    made = load_shipped() if path is None else _read(path)
    try:
        return made.at(made.rules.budget_days if budget_days is None else budget_days)
    except ValueError as error:
        raise errors.Invalid(f"--budget-days: {error}".replace("budget_days ", "")) from error


def _read(path: Path) -> Shipped:
    try:
        made = msgspec.json.decode(path.read_bytes(), type=Shipped)
    except OSError as error:
        raise errors.Invalid(f"{path}: cannot be read ({error.strerror})") from error
    except msgspec.ValidationError as error:
        where = plain_words.place_of(error)
        missing = MISSING.match(str(error))
        where += f".{missing['name']}" if missing and where else missing["name"] if missing else ""
        raise _refused(
            path, "$" + ("." if where[:1].isidentifier() else "") + where, plain_words.why_refused(error)
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(path, "$", "not JSON") from error
    try:
        plausible.check(made)
    except plausible.ImplausibleError as error:
        raise _refused(path, error.where, error.why) from error
    return made


def _refused(path: Path, where: str, why: str) -> errors.Invalid:
    return errors.Invalid(f"{path}: no rules file: {where}: {why}")
