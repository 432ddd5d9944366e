"""Maps: which columns of a foreign file hold what Neap calls client, day, craving, mood and anxiety.

A map is data, a TOML file: names of columns, and for every score a plain linear combination of columns (exact
fractions, "10/3"), rounded half up; a column taken as it is must be whole. The shipped maps lie in `shipped_maps/`; one
that lists a `header` is recognised by it, and a file that none recognises is read with the map `plain`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.course import Substance
from service import errors

SCORE_TOP = 10
CRAVING_COLUMN = "craving_"
PLAIN = "plain"

MapName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Number = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+|/[1-9][0-9]*)?$", description="12, 0.5 or 10/3")]
ColumnName = Annotated[str, Meta(min_length=1, max_length=200)]


class Combination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A score as offset + sum of factor × column; not answered when one of its columns is empty."""

    columns: Annotated[dict[ColumnName, Number], Meta(min_length=1)]
    offset: Number = "0"

    @property
    def rounds(self) -> bool:
        """Whether it converts from another scale; a column that is the score itself must be whole."""
        return any(Fraction(factor) != 1 for factor in self.columns.values()) or Fraction(self.offset).denominator != 1

    def of(self, numbers: Mapping[str, Fraction | None]) -> Fraction | None:
        """The exact value, None where a column is empty."""
        total = Fraction(self.offset)
        for column, factor in self.columns.items():
            number = numbers[column]
            if number is None:
                return None
            total += Fraction(factor) * number
        return total


class ImportMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to read one kind of file. `name` is also the default source; `header`: the columns that recognise it.

    `columns_may_lack`: a file without one of the columns is read, and the item is not answered.
    `craving_columns`: columns named craving_<substance> are read as well. `ranges`: what a source column may hold.
    """

    name: MapName
    title: str
    client: ColumnName
    day: ColumnName
    header: list[ColumnName] = []
    other_columns: Literal["ignore", "refuse"] = "refuse"
    columns_may_lack: bool = False
    primary_substance: Substance = Substance.OTHER
    craving: Combination | None = None
    craving_columns: bool = False
    mood: Combination | None = None
    anxiety: Combination | None = None
    infusion: ColumnName | None = None
    used: ColumnName | None = None
    note: ColumnName | None = None
    ranges: dict[ColumnName, tuple[int, int]] = {}

    def scores(self, header: Sequence[str]) -> dict[str, Combination]:
        """What each score is made of in a file with this header: "mood", "anxiety", "craving.<substance>"."""
        found: dict[str, Combination] = {}
        if self.craving is not None:
            found[f"craving.{self.primary_substance}"] = self.craving
        if self.craving_columns:
            for substance in Substance:
                if CRAVING_COLUMN + substance in header:
                    found[f"craving.{substance}"] = Combination(columns={CRAVING_COLUMN + substance: "1"})
        named = (("mood", self.mood), ("anxiety", self.anxiety))
        found |= {name: combination for name, combination in named if combination is not None}
        if not self.columns_may_lack:
            return found
        return {name: combination for name, combination in found.items() if set(combination.columns) <= set(header)}

    def columns(self, header: Sequence[str]) -> set[str]:
        """Every column of this header that the map reads."""
        singles = (self.client, self.day, self.infusion, self.used, self.note)
        single = {name for name in singles if name is not None and name in header}
        return single.union(*(combination.columns for combination in self.scores(header).values()))

    def required(self, header: Sequence[str]) -> list[str]:
        """The columns without which the file cannot be read, in a fixed order."""
        needed = [self.client, self.day]
        if not self.columns_may_lack:
            needed += [name for name in (self.infusion, self.used, self.note) if name is not None]
            needed += sorted({column for each in self.scores(header).values() for column in each.columns})
        return needed


def rounded(value: Fraction) -> int:
    """Round half up, as people do: 2.5 to 3, 3.5 to 4."""
    return math.floor(value + Fraction(1, 2))


def shipped() -> list[ImportMap]:
    """Every map that comes with Neap, by name."""
    folder = resources.files("service.import_history").joinpath("shipped_maps")
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return [_parsed(entry.read_text(encoding="utf-8"), entry.name) for entry in files]


def read(path: Path) -> ImportMap:
    """A map of one's own. Raises Invalid, naming the file, when it cannot be read."""
    try:
        return _parsed(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Invalid(f"{path}: the map cannot be read ({type(error).__name__}).") from error


def choose(name_or_file: str | None, header: Sequence[str]) -> ImportMap:
    """The map that was asked for, or the one that recognises the header, or `plain`.

    Raises Invalid when no map has the name and there is no such file.
    """
    by_name = {known.name: known for known in shipped()}
    if name_or_file is None:
        recognised = [known for known in by_name.values() if known.header and set(known.header) <= set(header)]
        return max(recognised, key=lambda known: len(known.header), default=by_name[PLAIN])
    if name_or_file in by_name:
        return by_name[name_or_file]
    if not Path(name_or_file).is_file():
        raise errors.Invalid(f"{name_or_file} is neither a map ({', '.join(by_name)}) nor a file.")
    return read(Path(name_or_file))


def _parsed(text: str, where: str) -> ImportMap:
    try:
        return msgspec.convert(tomllib.loads(text), ImportMap)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise errors.Invalid(f"{where}: {error}") from error
