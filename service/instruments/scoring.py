"""What answers add up to, and what in them is urgent; pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from schemas.instrument import Band, Instrument, Item, Option, Scoring
from service.errors import FieldFault

DECIMALS = 2


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """`missing`: codes of the items that were left out; `total` None where too many of them were."""

    total: float | None
    missing: list[str]


def score(instrument: Instrument, answers: Mapping[str, int]) -> Score:
    """The total, rounded to hundredths.

    An item that need not be asked counts as its rule says, also where it was answered all the same. Of the others as
    many may be missing as the instrument allows (none, unless it says so); the mean of what counts stands in for them.
    """
    counted, missing = [], []
    for item in instrument.items:
        value = answers.get(item.code)
        if item.unless is not None and answers.get(item.unless.item) == item.unless.value:
            value = item.unless.counts_as
        if value is None:
            missing.append(item.code)
        else:
            counted.append(value)
    allowed = instrument.missing.at_most if instrument.missing is not None else 0
    if not counted or len(missing) > allowed:
        return Score(total=None, missing=missing)
    mean = sum(counted) / len(counted)
    total = mean if instrument.scoring is Scoring.MEAN else mean * len(instrument.items)
    return Score(total=round(total, DECIMALS), missing=missing)


def range_of(instrument: Instrument) -> tuple[float, float]:
    """The least and the greatest total."""
    values = [[option.value for option in instrument.options_of(item)] for item in instrument.items]
    least, greatest = float(sum(map(min, values))), float(sum(map(max, values)))
    if instrument.scoring is Scoring.MEAN:
        return least / len(values), greatest / len(values)
    return least, greatest


def band_of(instrument: Instrument, total: float | None) -> Band | None:
    """The band in which a total lies, None where there is none."""
    if total is None:
        return None
    return next((band for band in reversed(instrument.bands) if band.at_least <= total), None)


def faults_of(instrument: Instrument, answers: Mapping[str, int]) -> list[FieldFault]:
    """What in the answers this instrument cannot take: items that it has not, values that an item does not offer."""
    by_code = {item.code: item for item in instrument.items}
    faults = []
    for code, value in answers.items():
        item = by_code.get(code)
        if item is None:
            faults.append(FieldFault(f"answers.{code[:64]}", "no item of this instrument"))
        elif all(value != option.value for option in instrument.options_of(item)):
            faults.append(FieldFault(f"answers.{code}", "not one of the item's options"))
    return faults


class UrgentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer above the limit of its item."""

    item: Item
    option: Option
    above: int


def urgent_of(instrument: Instrument, answers: Mapping[str, int]) -> list[UrgentAnswer]:
    """The answers that lie above the limits of urgent items."""
    limits = {each.item: each.above for each in instrument.urgent}
    return [
        UrgentAnswer(item=item, option=option, above=limits[item.code])
        for item in instrument.items
        if item.code in limits
        for option in instrument.options_of(item)
        if option.value == answers.get(item.code) and option.value > limits[item.code]
    ]
