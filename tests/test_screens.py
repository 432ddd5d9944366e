"""Screens beside answers, and how often they were negative: counted both ways, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.course import InfusionState, Substance
from schemas.gate import Agreement, Analyte, Confirmation, DrugScreen, GateSetting, Missing, Proposal
from service.facts import gate_records
from service.gate import agreement, assessment
from service.gate.agreement import UseAnswer
from service.gate.assessment import Records
from tests.appointments import a_screen_row, an_infusion_row

AT = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTING = GateSetting(
    gate_opens_hours=72,
    gate_clear_hours=48,
    gate_warning_hours=24,
    systolic_limit=140,
    diastolic_limit=90,
    therapy_window_hours=72,
)


def answer(hours_before: float, *used: Substance) -> UseAnswer:
    return UseAnswer(counted_at=AT - hours_before * HOUR, used=list(used))


@pytest.mark.parametrize(
    ("positive", "answers", "said"),
    [
        ([], [answer(20)], Agreement.AGREE),
        ([Analyte.COCAINE], [answer(20, Substance.COCAINE)], Agreement.AGREE),
        # Under-reported only where the answers together speak of all the 96 hours before the sample.
        ([Analyte.COCAINE], [answer(-8), answer(20), answer(44), answer(97)], Agreement.UNDER_REPORTED),
        # A word after days of silence is no answer of the window.
        ([Analyte.COCAINE], [answer(-8), answer(96)], Agreement.NO_DATA),
        ([Analyte.COCAINE], [answer(0), answer(100)], Agreement.UNDER_REPORTED),
        ([Analyte.COCAINE], [answer(20), answer(44), answer(97)], Agreement.NO_DATA),
        ([Analyte.COCAINE], [answer(-8), answer(20), answer(44), answer(90)], Agreement.NO_DATA),
        ([Analyte.COCAINE], [answer(90)], Agreement.NO_DATA),
        # Told shortly before the window, or in the first check-in after the sample, is told.
        ([Analyte.COCAINE], [answer(-8), answer(20), answer(100, Substance.COCAINE)], Agreement.AGREE),
        ([Analyte.COCAINE], [answer(-8), answer(20), answer(121, Substance.COCAINE)], Agreement.UNDER_REPORTED),
        ([Analyte.COCAINE], [answer(-8, Substance.COCAINE), answer(20), answer(100)], Agreement.AGREE),
        (
            [Analyte.COCAINE],
            [answer(-32, Substance.COCAINE), answer(-8), answer(20), answer(100)],
            Agreement.UNDER_REPORTED,
        ),
        ([], [answer(20, Substance.COCAINE), answer(44)], Agreement.OVER_REPORTED),
        # An answer speaks of the time since the one before: this use may have been before what a screen can see.
        ([], [answer(90, Substance.COCAINE), answer(114)], Agreement.NO_DATA),
        ([], [answer(20, Substance.COCAINE)], Agreement.NO_DATA),
        ([Analyte.COCAINE], [], Agreement.NO_DATA),
        # Longer ago than a screen can see, or after the sample: neither is about this screen.
        ([], [answer(97, Substance.COCAINE)], Agreement.NO_DATA),
        ([], [answer(-2, Substance.COCAINE)], Agreement.NO_DATA),
        ([Analyte.COCAINE], [answer(-8), answer(20, Substance.ALCOHOL), answer(99)], Agreement.UNDER_REPORTED),
    ],
)
def test_an_answer_and_a_screen_agree_or_do_not(
    positive: list[Analyte], answers: list[UseAnswer], said: Agreement
) -> None:
    found = agreement.of_screen(a_screen_row(*positive, at=AT), answers, [Substance.COCAINE])
    assert [each.agreement for each in found] == [said]


def test_nobody_is_measured_by_what_a_laboratory_refuted() -> None:
    strip = a_screen_row(Analyte.COCAINE, at=AT)
    laboratory = msgspec.structs.replace(a_screen_row(at=AT), confirmation=Confirmation.CONFIRMED)
    found = agreement.of_screen(strip, [answer(20)], [Substance.COCAINE], of_sample=[laboratory, strip])
    assert [each.agreement for each in found] == [Agreement.AGREE]
    assert gate_records.contradicted([strip, laboratory]) == [Analyte.COCAINE]


def test_what_a_panel_does_not_look_for_has_no_data() -> None:
    screen = a_screen_row(Analyte.CANNABIS, at=AT, panel=[Analyte.CANNABIS])
    answers = [answer(-1), answer(5, Substance.ALCOHOL), answer(80)]
    found = agreement.of_screen(screen, answers, [Substance.ALCOHOL, Substance.OTHER])
    assert [(each.substance, each.agreement, each.window_hours) for each in found] == [
        (Substance.ALCOHOL, Agreement.NO_DATA, None),
        (Substance.OTHER, Agreement.UNDER_REPORTED, 72),
    ]


def test_a_screen_that_could_not_be_read_has_no_data() -> None:
    screen = a_screen_row(at=AT, valid=False)
    assert agreement.of_screen(screen, [answer(5)], [Substance.COCAINE])[0].agreement is Agreement.NO_DATA


def test_missing_screens_are_counted_apart_and_the_share_is_given_both_ways() -> None:
    every = [an_infusion_row(planned_at=AT - 72 * n * HOUR, state=InfusionState.HELD) for n in range(5)]
    coming = an_infusion_row(planned_at=AT + 72 * HOUR)
    cancelled = an_infusion_row(planned_at=AT - 10 * HOUR, state=InfusionState.CANCELLED)
    screens = [
        a_screen_row(at=AT, infusion_id=every[0].infusion_id),
        a_screen_row(Analyte.ALCOHOL_MARKER, at=AT, infusion_id=every[1].infusion_id),
        # Found something, but nothing that is treated.
        a_screen_row(Analyte.COCAINE, at=AT, infusion_id=every[2].infusion_id),
        a_screen_row(at=AT, infusion_id=every[3].infusion_id, panel=[Analyte.COCAINE]),
    ]
    treated = {each.infusion_id: [Substance.ALCOHOL] for each in [*every, coming, cancelled]}
    figures = agreement.abstinence([*every, coming, cancelled], screens, treated, opens_hours=72, now=AT)
    assert (figures.occasions, figures.negative, figures.positive, figures.missing) == (5, 2, 1, 2)
    assert figures.share_missing_as_positive == pytest.approx(0.4)
    assert figures.share_missing_excluded == pytest.approx(2 / 3)


def test_an_occasion_whose_screen_did_not_look_for_all_that_is_treated_is_never_negative() -> None:
    slot = an_infusion_row(planned_at=AT)
    treated = {slot.infusion_id: [Substance.ALCOHOL, Substance.COCAINE]}

    def counted(*screens: DrugScreen) -> tuple[int, int, int]:
        told = agreement.abstinence([slot], list(screens), treated, opens_hours=72, now=AT)
        return told.negative, told.positive, told.missing

    half = a_screen_row(at=AT, infusion_id=slot.infusion_id, panel=[Analyte.COCAINE])
    rest = a_screen_row(at=AT - HOUR, infusion_id=slot.infusion_id, panel=[Analyte.ALCOHOL_MARKER])
    found = a_screen_row(Analyte.COCAINE, at=AT, infusion_id=slot.infusion_id, panel=[Analyte.COCAINE])
    assert counted(half) == (0, 0, 1)
    assert counted(half, rest) == (1, 0, 0)
    assert counted(found) == (0, 1, 0), "what was found says enough"


@pytest.mark.parametrize(("hours_before", "missing"), [(0, 0), (71, 0), (73, 1), (-1, 1)])
def test_a_screen_that_names_no_infusion_belongs_to_the_next_slot_within_the_gate_s_hours(
    hours_before: float, missing: int
) -> None:
    slot = an_infusion_row(planned_at=AT)
    screen = msgspec.structs.replace(a_screen_row(at=AT - hours_before * HOUR), infusion_id=None)
    treated = {slot.infusion_id: [Substance.COCAINE]}
    assert agreement.abstinence([slot], [screen], treated, opens_hours=72, now=AT).missing == missing


HOURS_APART = st.lists(st.integers(-40, 130), max_size=8, unique=True)


@given(HOURS_APART, st.randoms())
def test_under_reported_is_said_only_where_every_hour_of_the_window_was_asked_about(
    hours_before: list[int], order: Random
) -> None:
    """Against the plain reading: mark each hour that an answer speaks of, from the answer before it on."""
    moments = sorted(hours_before, reverse=True)
    spoken = {hour for first, last in pairwise(moments) for hour in range(last, first)}
    answered = any(0 <= hour < 96 for hour in hours_before)
    asked = answered and spoken >= set(range(96))
    expected = Agreement.UNDER_REPORTED if asked else Agreement.NO_DATA
    answers = [answer(hours) for hours in hours_before]
    order.shuffle(answers)
    told = agreement.of_screen(a_screen_row(Analyte.COCAINE, at=AT), answers, [Substance.COCAINE])
    assert [each.agreement for each in told] == [expected]


def test_without_an_occasion_there_is_no_share() -> None:
    figures = agreement.abstinence([], [], {}, opens_hours=72, now=AT)
    assert (figures.share_missing_as_positive, figures.share_missing_excluded) == (None, None)


OUTCOMES = st.lists(st.sampled_from(["negative", "positive", "none", "invalid"]), max_size=8)


@given(OUTCOMES, st.randoms())
def test_the_figures_add_up_and_do_not_depend_on_the_order_of_screens(outcomes: list[str], order: Random) -> None:
    booked = [an_infusion_row(planned_at=AT - n * HOUR) for n in range(len(outcomes))]
    screens = [
        a_screen_row(
            *([Analyte.OPIOID] if outcome == "positive" else []),
            at=AT - n * HOUR,
            infusion_id=booked[n].infusion_id,
            valid=outcome != "invalid",
        )
        for n, outcome in enumerate(outcomes)
        if outcome != "none"
    ]
    treated = {each.infusion_id: [Substance.OPIOID] for each in booked}
    told = agreement.abstinence(booked, screens, treated, opens_hours=72, now=AT)
    assert told.occasions == told.negative + told.positive + told.missing == len(outcomes)
    assert told.negative == outcomes.count("negative")
    assert told.positive == outcomes.count("positive")
    if told.share_missing_as_positive is not None and told.share_missing_excluded is not None:
        assert told.share_missing_as_positive <= told.share_missing_excluded
    shuffled = list(screens)
    order.shuffle(shuffled)
    assert agreement.abstinence(booked, shuffled, treated, opens_hours=72, now=AT) == told


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 60)), max_size=6), st.randoms())
def test_what_a_gate_rests_on_does_not_depend_on_the_order_of_screens(
    taken: list[tuple[bool, bool, int]], order: Random
) -> None:
    screens = [
        a_screen_row(*([Analyte.COCAINE] if positive else []), at=AT - hours * HOUR, valid=valid or positive)
        for positive, valid, hours in taken
    ]
    told = assessment.of(Records(screens=screens), SETTING, planned_at=AT)
    shuffled = list(screens)
    order.shuffle(shuffled)
    assert assessment.of(Records(screens=shuffled), SETTING, planned_at=AT) == told
    readable = [each for each in screens if each.result != "invalid"]
    assert (Missing.SCREEN in told.missing) == (not readable)
    if readable:
        newest = max(readable, key=lambda each: (each.collected_at, each.drug_screen_id))
        assert (Proposal.SCREEN_POSITIVE in told.proposals) == bool(newest.positive)


def test_a_screen_from_before_the_gate_opened_is_too_old() -> None:
    records = Records(screens=[a_screen_row(at=AT - 73 * HOUR)])
    assert Missing.SCREEN in assessment.of(records, SETTING, planned_at=AT).missing
    assert Missing.SCREEN not in assessment.of(records, SETTING, planned_at=AT - 2 * HOUR).missing


def test_of_corrected_records_only_the_newest_version_stands_and_none_that_was_entered_in_error() -> None:
    wrong = a_screen_row(Analyte.COCAINE, at=AT)
    right = a_screen_row(at=AT, supersedes=wrong.drug_screen_id)
    assert gate_records.standing_screens([wrong, right]) == gate_records.standing_screens([right, wrong]) == [right]
    error = a_screen_row(at=AT, supersedes=right.drug_screen_id, entered_in_error=True)
    assert gate_records.standing_screens([error, wrong, right]) == []
