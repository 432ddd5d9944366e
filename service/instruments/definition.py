"""What a definition may not contradict beyond its shapes, each fault named by its path; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import pairwise

from schemas.course import Phase
from schemas.instrument import Instrument, Item, Option, Translation, Worse
from service import errors
from service.errors import FieldFault

MOST_FAULTS = 20


def refuse_contradictory(instrument: Instrument) -> None:
    """Raises Invalid naming everything in a definition that cannot be meant."""
    faults = list(_faults_of(instrument))
    if faults:
        raise errors.Invalid("The instrument's definition was refused.", fields=faults[:MOST_FAULTS])


def _faults_of(instrument: Instrument) -> Iterator[FieldFault]:
    yield from _repeated("items", "code", [each.code for each in instrument.items])
    if instrument.options is not None:
        yield from _faults_of_options("options", instrument.options)
    for at, item in enumerate(instrument.items):
        yield from _faults_of_item(instrument, item, instrument.items[:at], f"items[{at}]")
    yield from _faults_of_scoring(instrument)
    yield from _faults_of_change(instrument)
    yield from _repeated("schedule", "phase", [each.phase for each in instrument.schedule])
    for at, rhythm in enumerate(instrument.schedule):
        if rhythm.phase is Phase.DISCHARGED:
            yield FieldFault(f"schedule[{at}].phase", "nobody is asked after a discharge")
        if rhythm.open_days > rhythm.every_days:
            yield FieldFault(f"schedule[{at}].open_days", "not more than every_days")
    if instrument.substances is not None:
        yield from _repeated("substances", "", instrument.substances)
    for language, translation in instrument.translations.items():
        yield from _faults_of_translation(instrument, language, translation)


def _faults_of_item(instrument: Instrument, item: Item, before: Sequence[Item], path: str) -> Iterator[FieldFault]:
    if item.options is not None:
        yield from _faults_of_options(f"{path}.options", item.options)
    elif instrument.options is None:
        yield FieldFault(f"{path}.options", "needed here, or once for all items")
    if item.unless is not None:
        earlier = next((each for each in before if each.code == item.unless.item), None)
        if earlier is None:
            yield FieldFault(f"{path}.unless.item", "an item before this one")
        elif item.unless.value not in _values(instrument.options_of(earlier)):
            yield FieldFault(f"{path}.unless.value", "one of that item's options")
        if item.unless.counts_as not in _values(instrument.options_of(item)):
            yield FieldFault(f"{path}.unless.counts_as", "one of this item's options")


def _faults_of_options(path: str, options: Sequence[Option]) -> Iterator[FieldFault]:
    yield from _repeated(path, "value", [each.value for each in options])
    yield from _repeated(path, "text", [each.text for each in options])


def _faults_of_translation(instrument: Instrument, language: str, translation: Translation) -> Iterator[FieldFault]:
    path = f"translations.{language}"
    if language == instrument.language:
        yield FieldFault(path, "another language than the instrument's own")
    if [each.code for each in translation.items] != [each.code for each in instrument.items]:
        yield FieldFault(f"{path}.items", "every item of the instrument, in its order")
        return
    yield from _faults_of_translated_options(f"{path}.options", instrument.options, translation.options)
    for at, (item, translated) in enumerate(zip(instrument.items, translation.items, strict=True)):
        yield from _faults_of_translated_options(f"{path}.items[{at}].options", item.options, translated.options)


def _faults_of_translated_options(
    path: str, options: Sequence[Option] | None, translated: Sequence[Option] | None
) -> Iterator[FieldFault]:
    if [each.value for each in options or ()] != [each.value for each in translated or ()]:
        yield FieldFault(path, "the values of the instrument's own, in their order")
    yield from _repeated(path, "text", [each.text for each in translated or ()])


def _faults_of_scoring(instrument: Instrument) -> Iterator[FieldFault]:
    bands = [each.at_least for each in instrument.bands]
    for at, (lower, upper) in enumerate(pairwise(bands), start=1):
        if lower >= upper:
            yield FieldFault(f"bands[{at}].at_least", "more than the band before")
    yield from _repeated("bands", "name", [each.name for each in instrument.bands])
    if instrument.bands and instrument.bands_source is None:
        yield FieldFault("bands_source", "needed with bands")
    if instrument.missing is not None and instrument.missing.at_most >= len(instrument.items):
        yield FieldFault("missing.at_most", "fewer than there are items")
    yield from _repeated("urgent", "item", [each.item for each in instrument.urgent])
    by_code = {each.code: each for each in instrument.items}
    for at, urgent in enumerate(instrument.urgent):
        item = by_code.get(urgent.item)
        if item is None:
            yield FieldFault(f"urgent[{at}].item", "the code of an item")
        elif all(value <= urgent.above for value in _values(instrument.options_of(item))):
            yield FieldFault(f"urgent[{at}].above", "less than the item's highest option")


def _faults_of_change(instrument: Instrument) -> Iterator[FieldFault]:
    reliable = instrument.reliable_change
    if reliable is not None:
        by_formula = (reliable.sd is not None, reliable.r is not None)
        if any(by_formula) != all(by_formula) or (reliable.points is not None) == all(by_formula):
            yield FieldFault("reliable_change", "either points, or sd and r")
    if instrument.worse is Worse.LOWER:
        for name, target in (("response", instrument.response), ("remission", instrument.remission)):
            if target is not None:
                yield FieldFault(name, "only where a higher total is worse")


def _values(options: Iterable[Option]) -> set[int]:
    return {each.value for each in options}


def _repeated(path: str, field: str, names: Sequence[Hashable]) -> Iterator[FieldFault]:
    counts = Counter(names)
    seen: set[Hashable] = set()
    for at, name in enumerate(names):
        if counts[name] > 1 and name in seen:
            yield FieldFault(f"{path}[{at}]{'.' if field else ''}{field}", "each only once")
        seen.add(name)
