"""An instrument: a questionnaire as data, with its wording, its scoring, and the sources of both."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.course import Phase, Substance

InstrumentCode = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,31}$(?!\n)", description="phq9")]
ItemCode = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_]{0,31}$(?!\n)")]
LanguageTag = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$(?!\n)", examples=["es"])]
LoincCode = Annotated[str, Meta(pattern=r"^[0-9]{1,7}-[0-9]$(?!\n)", description="44261-6")]
# One line of what can be typed.
LINE = r"^[^\x00-\x1f\x7f]+$(?!\n)"
Words = Annotated[str, Meta(max_length=200, pattern=LINE)]
LongWords = Annotated[str, Meta(max_length=1_000, pattern=LINE)]
Points = Annotated[int, Meta(ge=-1_000, le=1_000)]
Level = Annotated[float, Meta(ge=-100_000, le=100_000, description="on the scale of the total")]
Days = Annotated[int, Meta(ge=1, le=364)]
MOST_ITEMS = 100
MOST_OPTIONS = 20


class Scoring(StrEnum):
    """How the items make the total."""

    SUM = "sum"
    MEAN = "mean"


class Worse(StrEnum):
    """In which direction the total gets worse."""

    HIGHER = "higher"
    LOWER = "lower"


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer, in its exact words."""

    value: Points
    text: Words


class Unless(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An earlier item with whose answer this one need not be asked; it then counts as `counts_as`."""

    item: ItemCode
    value: Points
    counts_as: Points


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question, in its exact words; without `options` the instrument's own."""

    code: ItemCode
    text: LongWords
    options: Annotated[list[Option], Meta(min_length=2, max_length=MOST_OPTIONS)] | None = None
    loinc: LoincCode | None = None
    unless: Unless | None = None


class TranslatedItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question in another language; `options` where the question has its own."""

    code: ItemCode
    text: LongWords
    options: Annotated[list[Option], Meta(min_length=2, max_length=MOST_OPTIONS)] | None = None


class Translation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that a client reads of an instrument, in another language, with where these words come from."""

    asks: Words
    lead: LongWords
    attribution: LongWords
    source: LongWords
    items: Annotated[list[TranslatedItem], Meta(min_length=1, max_length=MOST_ITEMS)]
    options: Annotated[list[Option], Meta(min_length=2, max_length=MOST_OPTIONS)] | None = None


class Loinc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the whole is called in LOINC."""

    panel: LoincCode | None = None
    total: LoincCode | None = None


class MissingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to how many items may be left out; the mean of the answered ones stands in for them. Beyond: no total."""

    at_most: Annotated[int, Meta(ge=1, le=MOST_ITEMS)]
    source: LongWords


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name for the totals from `at_least` up to the next band."""

    at_least: Level
    name: Words


class Urgent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An item whose answer above `above` is a tier-1 finding, and shows the crisis contacts."""

    item: ItemCode
    above: Points


class ReliableChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which difference on a change is more than the noise of measuring: published points, or `sd` and `r`.

    With `sd` (of the totals) and `r` (their reliability): beyond 1.96·√2·sd·√(1−r), Jacobson & Truax 1991.
    """

    source: LongWords
    points: Annotated[float, Meta(gt=0)] | None = None
    sd: Annotated[float, Meta(gt=0)] | None = None
    r: Annotated[float, Meta(ge=0, lt=1)] | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The total is better than the first one by at least this share of it, where that was at least `first_at_least`."""

    share: Annotated[float, Meta(gt=0, le=1)]
    source: LongWords
    first_at_least: Level | None = None


class Remission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The total lies below this, where the first one was at least `first_at_least`."""

    below: Level
    source: LongWords
    first_at_least: Level | None = None


class Rhythm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often it is asked in a phase: every so many client days, each time open for `open_days` of them."""

    phase: Phase
    every_days: Days
    open_days: Days


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A questionnaire in one version, which never changes; other words are another version.

    `title` is for staff. `asks` is what a phone shows of it: it must out nobody. `substances`: asked while one of
    these is treated, None: always. `translations`: the same in other languages, complete or not at all.
    """

    code: InstrumentCode
    version: Annotated[int, Meta(ge=1, le=9_999)]
    title: Words
    asks: Words
    lead: LongWords
    language: LanguageTag
    licence: LongWords
    attribution: LongWords
    source: LongWords
    scoring: Scoring
    items: Annotated[list[Item], Meta(min_length=1, max_length=MOST_ITEMS)]
    options: Annotated[list[Option], Meta(min_length=2, max_length=MOST_OPTIONS)] | None = None
    worse: Worse = Worse.HIGHER
    loinc: Loinc | None = None
    missing: MissingRule | None = None
    bands: Annotated[list[Band], Meta(max_length=20)] = []
    bands_source: LongWords | None = None
    urgent: Annotated[list[Urgent], Meta(max_length=MOST_ITEMS)] = []
    reliable_change: ReliableChange | None = None
    response: Response | None = None
    remission: Remission | None = None
    schedule: Annotated[list[Rhythm], Meta(max_length=2)] = []
    substances: Annotated[list[Substance], Meta(min_length=1, max_length=4)] | None = None
    translations: Annotated[dict[LanguageTag, Translation], Meta(max_length=20)] = {}

    def options_of(self, item: Item) -> list[Option]:
        """The answers that an item offers."""
        return item.options or self.options or []
