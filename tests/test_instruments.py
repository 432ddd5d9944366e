"""Instruments as data: what ships, what it adds up to, and when a change is more than noise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.course import Phase
from schemas.instrument import Instrument, ReliableChange
from service import errors
from service.instruments import catalogue, change, definition, scoring
from service.web import strict

PHQ9, GAD7, PACS, AUDIT_C = (catalogue.shipped()[code, 1] for code in ("phq9", "gad7", "pacs", "audit_c"))
SHIPPED = list(catalogue.shipped().values())


def all_answered(instrument: Instrument, *values: int) -> dict[str, int]:
    """The items answered in their order; one value stands for all."""
    every = values if len(values) > 1 else values * len(instrument.items)
    return {item.code: value for item, value in zip(instrument.items, every, strict=True)}


def test_those_that_ship_name_their_licence_attribution_source_and_items() -> None:
    assert {each.code: len(each.items) for each in SHIPPED} == {"audit_c": 3, "gad7": 7, "pacs": 5, "phq9": 9}
    assert all(each.licence and each.attribution and re.search(r"\b(19|20)\d\d;", each.source) for each in SHIPPED)
    assert {each.code: scoring.range_of(each) for each in SHIPPED} == {
        "audit_c": (0, 12),
        "gad7": (0, 21),
        "pacs": (0, 30),
        "phq9": (0, 27),
    }


def test_loinc_codes_have_the_right_check_digit() -> None:
    codes = [code for each in SHIPPED if each.loinc for code in (each.loinc.panel, each.loinc.total)]
    codes += [item.loinc for each in SHIPPED for item in each.items]
    assert len([code for code in codes if code]) == 3 * 2 + 9 + 7 + 3
    assert [code for code in codes if code and not has_right_check_digit(code)] == []
    totals = {each.code: each.loinc.total for each in SHIPPED if each.loinc}
    assert totals == {"phq9": "44261-6", "gad7": "70274-6", "audit_c": "75626-2"}


def has_right_check_digit(code: str) -> bool:
    """Mod 10, as LOINC's guide says: odd places from the right doubled, the digits summed, the rest to ten."""
    number, _, digit = code.partition("-")
    doubled = "".join(str(int(each) * 2) for each in number[::-2])
    total = sum(map(int, doubled)) + sum(map(int, number[-2::-2]))
    return (10 - total % 10) % 10 == int(digit)


def test_no_client_can_be_outed_by_what_the_phone_lists() -> None:
    outing = re.compile(r"alcohol|drink|drug|depress|anxi|suicid|PHQ|GAD|AUDIT|PACS", re.IGNORECASE)
    assert [each.asks for each in SHIPPED if outing.search(each.asks)] == []


# Kroenke, Spitzer & Williams 2001, table 4; Spitzer et al. 2006.
@pytest.mark.parametrize(
    ("instrument", "total", "band"),
    [
        (PHQ9, 0, "minimal"),
        (PHQ9, 4, "minimal"),
        (PHQ9, 5, "mild"),
        (PHQ9, 9, "mild"),
        (PHQ9, 10, "moderate"),
        (PHQ9, 14, "moderate"),
        (PHQ9, 15, "moderately severe"),
        (PHQ9, 19, "moderately severe"),
        (PHQ9, 20, "severe"),
        (PHQ9, 27, "severe"),
        (GAD7, 4, "minimal"),
        (GAD7, 5, "mild"),
        (GAD7, 10, "moderate"),
        (GAD7, 15, "severe"),
        (GAD7, 21, "severe"),
        (AUDIT_C, 2, "below the cut-offs"),
        (AUDIT_C, 3, "at the cut-off for women"),
        (AUDIT_C, 4, "at or above both cut-offs"),
        (PHQ9, 9.99, "mild"),
    ],
)
def test_bands_are_the_published_ones(instrument: Instrument, total: float, band: str) -> None:
    found = scoring.band_of(instrument, total)
    assert found is not None
    assert found.name == band


def test_no_total_has_no_band_and_an_instrument_without_bands_none() -> None:
    assert scoring.band_of(PHQ9, None) is None
    assert scoring.band_of(PACS, 12) is None


@pytest.mark.parametrize(
    ("instrument", "answers", "total"),
    [
        (PHQ9, all_answered(PHQ9, 0), 0),
        (PHQ9, all_answered(PHQ9, 3), 27),
        (PHQ9, all_answered(PHQ9, 1, 2, 1, 3, 0, 1, 0, 0, 1), 9),
        (GAD7, all_answered(GAD7, 2, 2, 2, 1, 0, 1, 3), 11),
        (PACS, all_answered(PACS, 6), 30),
        (AUDIT_C, {"1": 4, "2": 2, "3": 3}, 9),
        (AUDIT_C, {"1": 0}, 0),
        (AUDIT_C, {"1": 0, "2": 4, "3": 4}, 0),
    ],
)
def test_totals_are_sums(instrument: Instrument, answers: dict[str, int], total: float) -> None:
    assert scoring.score(instrument, answers) == scoring.Score(total=total, missing=[])


@pytest.mark.parametrize(
    ("instrument", "left_out", "total"),
    [
        # The mean of the seven answered ones, 2, stands in for the other two.
        (PHQ9, ["3", "9"], 18),
        (PHQ9, ["3", "8", "9"], None),
        (GAD7, ["3"], None),
        (PACS, ["5"], None),
    ],
)
def test_missing_items_are_filled_in_where_the_instrument_says_so_and_give_no_total_elsewhere(
    instrument: Instrument, left_out: list[str], total: float | None
) -> None:
    answers = {code: value for code, value in all_answered(instrument, 2).items() if code not in left_out}
    assert scoring.score(instrument, answers) == scoring.Score(total=total, missing=left_out)


def test_an_item_that_need_not_be_asked_is_missing_when_it_should_have_been() -> None:
    assert scoring.score(AUDIT_C, {"1": 1}) == scoring.Score(total=None, missing=["2", "3"])


def test_a_filled_in_total_is_rounded_to_hundredths() -> None:
    answers = {"1": 1, "2": 0, "3": 0, "4": 0, "5": 0, "6": 0, "7": 1}
    assert scoring.score(PHQ9, answers).total == 2.57


@st.composite
def answered(draw: st.DrawFn) -> tuple[Instrument, dict[str, int]]:
    instrument = draw(st.sampled_from(SHIPPED))
    chosen = draw(st.lists(st.sampled_from(instrument.items), min_size=1, unique_by=lambda item: item.code))
    return instrument, {
        item.code: draw(st.sampled_from(instrument.options_of(item))).value for item in draw(st.permutations(chosen))
    }


@given(answered())
def test_the_order_of_answers_never_matters_and_a_total_lies_in_its_range(
    given_answers: tuple[Instrument, dict[str, int]],
) -> None:
    instrument, answers = given_answers
    score = scoring.score(instrument, answers)
    assert score == scoring.score(instrument, dict(sorted(answers.items())))
    assert scoring.faults_of(instrument, answers) == []
    least, greatest = scoring.range_of(instrument)
    if score.total is not None:
        assert least <= score.total <= greatest
        assert (scoring.band_of(instrument, score.total) is not None) == bool(instrument.bands)
    if not score.missing:
        skipped = {
            item.code: item.unless.counts_as
            for item in instrument.items
            if item.unless is not None and answers.get(item.unless.item) == item.unless.value
        }
        assert score.total == sum((answers | skipped).values())


def test_answers_that_an_instrument_does_not_offer_are_named() -> None:
    faults = scoring.faults_of(PHQ9, {"1": 4, "10": 1, "2": 3})
    assert [each.field for each in faults] == ["answers.1", "answers.10"]


def test_item_9_is_urgent_above_0_and_no_other_item_is() -> None:
    assert scoring.urgent_of(PHQ9, all_answered(PHQ9, 3, 3, 3, 3, 3, 3, 3, 3, 0)) == []
    (urgent,) = scoring.urgent_of(PHQ9, {"9": 1})
    assert (urgent.item.code, urgent.option.text, urgent.above) == ("9", "Several days", 0)
    assert all(each.urgent == [] for each in SHIPPED if each is not PHQ9)


def test_reliable_change_by_the_worked_example_of_jacobson_and_truax() -> None:
    """1991, p. 14: sd 10, r .80; from 32.5 to 47.5 the index is 2.37, that is, 15 over a standard error of 6.32."""
    rule = ReliableChange(source="J & T 1991", sd=10, r=0.80)
    assert math.isclose(change.least_reliable(rule), 1.96 * 6.32, abs_tol=0.01)
    assert change.is_reliable(rule, 47.5 - 32.5)
    assert change.is_reliable(rule, -15)
    assert not change.is_reliable(rule, 12.3)
    assert "12.40 points" in change.formula_of_reliable(rule)


@pytest.mark.parametrize(("instrument", "points"), [(PHQ9, 6), (GAD7, 4)])
def test_published_points_count_from_themselves_on(instrument: Instrument, points: int) -> None:
    assert instrument.reliable_change is not None
    assert change.is_reliable(instrument.reliable_change, -points)
    assert not change.is_reliable(instrument.reliable_change, points - 1)


@pytest.mark.parametrize(
    ("before", "total", "responded", "remitted"),
    [
        ([20], 10, True, False),
        ([20], 11, False, False),
        ([12], 4, True, True),
        ([12], 5, True, False),
        ([9], 1, None, None),
        # An episode begins with the first total that is high enough, whatever came before it.
        ([9, 20, 12], 10, True, False),
        ([9, 20], 4, True, True),
        ([12, 20], 7, False, False),
        ([], 4, None, None),
    ],
)
def test_response_is_half_and_remission_below_5_of_the_first_total_that_is_high_enough(
    before: list[float], total: float, responded: bool | None, remitted: bool | None
) -> None:
    assert PHQ9.response is not None
    assert PHQ9.remission is not None
    first = change.baseline(PHQ9.response, before)
    assert first == change.baseline(PHQ9.remission, before)
    if first is None:
        assert (responded, remitted) == (None, None)
    else:
        assert change.responded(PHQ9.response, first, total) is responded
        assert change.remitted(PHQ9.remission, total) is remitted


OWN: Mapping[str, object] = {
    "code": "own",
    "version": 1,
    "title": "Own",
    "asks": "Two questions",
    "lead": "How was it?",
    "language": "en",
    "licence": "Licensed to this clinic.",
    "attribution": "Somebody",
    "source": "Somewhere 2020;1:1.",
    "scoring": "mean",
    "options": [{"value": 0, "text": "No"}, {"value": 1, "text": "Yes"}],
    "items": [{"code": "a", "text": "One?"}, {"code": "b", "text": "Two?"}],
}


def fields_refused(**parts: object) -> list[str]:
    """Which fields of a definition with these parts are refused."""
    try:
        definition.refuse_contradictory(strict.decode(msgspec.json.encode({**OWN, **parts}), Instrument))
    except errors.Invalid as refused:
        return [each.field for each in refused.fields]
    return []


def test_a_definition_that_says_what_it_must_is_taken_and_may_be_a_mean() -> None:
    assert fields_refused() == []
    own = strict.decode(msgspec.json.encode(OWN), Instrument)
    assert scoring.score(own, {"a": 1, "b": 0}).total == 0.5
    assert scoring.range_of(own) == (0, 1)


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        ({"items": [{"code": "a", "text": "One?"}, {"code": "a", "text": "Two?"}]}, ["items[1].code"]),
        ({"options": None}, ["items[0].options", "items[1].options"]),
        (
            {"options": [{"value": 0, "text": "No"}, {"value": 0, "text": "No"}]},
            ["options[1].value", "options[1].text"],
        ),
        ({"options": [{"value": 0, "text": "No"}]}, ["options"]),
        ({"items": [{"code": "a", "text": "One?", "loinc": "44261"}]}, ["items[0].loinc"]),
        ({"items": [{"code": "a", "text": "One?", "reverse": True}]}, ["items[0]"]),
        (
            {"bands": [{"at_least": 1, "name": "x"}, {"at_least": 1, "name": "y"}]},
            ["bands[1].at_least", "bands_source"],
        ),
        ({"urgent": [{"item": "c", "above": 0}, {"item": "a", "above": 1}]}, ["urgent[0].item", "urgent[1].above"]),
        ({"missing": {"at_most": 2, "source": "x"}}, ["missing.at_most"]),
        ({"reliable_change": {"source": "x"}}, ["reliable_change"]),
        ({"reliable_change": {"source": "x", "sd": 5}}, ["reliable_change"]),
        ({"reliable_change": {"source": "x", "sd": 5, "r": 0.8, "points": 6}}, ["reliable_change"]),
        ({"reliable_change": {"source": "x", "sd": 5, "r": 1}}, ["reliable_change.r"]),
        ({"worse": "lower", "response": {"share": 0.5, "source": "x"}}, ["response"]),
        (
            {"schedule": [{"phase": "discharged", "every_days": 7, "open_days": 8}]},
            ["schedule[0].phase", "schedule[0].open_days"],
        ),
        ({"code": "Own!"}, ["code"]),
        ({"version": "1"}, ["version"]),
        ({"title": ""}, ["title"]),
        ({"title": "One\x00"}, ["title"]),
        ({"lead": "One\nTwo"}, ["lead"]),
        ({"streak": 1}, ["streak"]),
        (
            {"items": [{"code": "a", "text": "One?", "unless": {"item": "b", "value": 0, "counts_as": 9}}]},
            ["items[0].unless.item", "items[0].unless.counts_as"],
        ),
    ],
)
def test_every_fault_of_a_definition_is_named_by_its_path(parts: dict[str, object], fields: list[str]) -> None:
    assert fields_refused(**parts) == fields


def test_those_that_ship_are_asked_more_often_in_induction() -> None:
    days = {each.code: {rhythm.phase: rhythm.every_days for rhythm in each.schedule} for each in SHIPPED}
    weekly_then_monthly = {Phase.INDUCTION: 7, Phase.MAINTENANCE: 28}
    assert days == {
        "phq9": weekly_then_monthly,
        "gad7": weekly_then_monthly,
        "pacs": weekly_then_monthly,
        "audit_c": {Phase.INDUCTION: 84, Phase.MAINTENANCE: 84},
    }
