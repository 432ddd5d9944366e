"""Which instruments there are: those that ship with Neap, from `data/`, and beside them a clinic's own."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import resources
from types import MappingProxyType

import msgspec

from schemas.instrument import Instrument
from service.instruments import definition


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a clinic's own instrument, and the clinic's day from which it is asked."""

    instrument: Instrument
    added_on: date


class Catalogue:
    """The instruments of one clinic, every version of each."""

    def __init__(self, own: Sequence[Own]) -> None:
        self._own = {(each.instrument.code, each.instrument.version): each for each in own}
        shipped_codes = {each.code for each in shipped().values()}
        # A code that ships with a later release stays the clinic's own where it had it before.
        self._shipped = {key: each for key, each in shipped().items() if key[0] not in {code for code, _ in self._own}}
        self.codes = sorted(shipped_codes | {code for code, _ in self._own})

    def find(self, code: str, version: int) -> Instrument | None:
        """One version of an instrument, None where there is none."""
        if own := self._own.get((code, version)):
            return own.instrument
        return self._shipped.get((code, version))

    def newest(self, code: str) -> Instrument | None:
        """The version that is asked now, None where there is no such instrument."""
        return self.on(code, date.max)

    def on(self, code: str, day: date) -> Instrument | None:
        """The version that was asked on a day, None where there was none yet. Those that ship were always there."""
        there = [each for (known, _), each in self._shipped.items() if known == code]
        there += [each.instrument for (known, _), each in self._own.items() if known == code and each.added_on <= day]
        return max(there, key=lambda each: each.version, default=None)

    def changes_on(self, code: str) -> list[date]:
        """The days from which another version is asked."""
        return sorted(each.added_on for (known, _), each in self._own.items() if known == code)

    def is_own(self, code: str) -> bool:
        """Whether the clinic brought it."""
        return any(known == code for known, _ in self._own)


@functools.cache
def shipped() -> Mapping[tuple[str, int], Instrument]:
    """Every instrument that ships with Neap, by code and version; versions once shipped stay for old answers."""
    folder = resources.files("service.instruments") / "data"
    read = [_read(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".toml")]
    return MappingProxyType({(each.code, each.version): each for each in sorted(read, key=lambda each: each.code)})


def _read(text: str) -> Instrument:
    instrument = msgspec.convert(tomllib.loads(text), Instrument)
    definition.refuse_contradictory(instrument)
    return instrument
