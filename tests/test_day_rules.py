"""What a folded day gives that is no worsening: pure on its numbers and on what was found before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pytest

from schemas.alert import NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from schemas.trend import Status, Trend
from service.detection import State, better_of, fold, shipped_rules
from service.detection.synthetic import Population, Worsening, cohort
from service.rules import day_rules
from service.rules.day_rules import FoldedDay, Found, Improving, Learning, Waning

TODAY = date(2026, 11, 22)


def a_trend(*, silent_days: int = 0, days_since_infusion: int | None = None, day: date = TODAY) -> Trend:
    return Trend(
        client_day=day,
        status=Status.ON_TRACK,
        answered=silent_days == 0,
        partly=False,
        craving=None,
        mood=None,
        anxiety=None,
        baseline=[4.0, 6.0, 4.0],
        sd=[1.0, 1.0, 1.0],
        level=[4.0, 6.0, 4.0],
        band_low=[2.7, 4.7, 2.7],
        band_high=[5.3, 7.3, 5.3],
        statistic=0.0,
        limit_value=3.0,
        crossing=False,
        resting=False,
        silent_days=silent_days,
        days_since_infusion=days_since_infusion,
        origin=RecordOrigin.LIVE,
        rule_set_version=1,
    )


def found(
    trend: Trend,
    *,
    waning: Waning | None = None,
    improving: Improving | None = None,
    begins: Learning | None = None,
    known: Iterable[tuple[Rule, date]] | Found = (),
    booked: tuple[date, ...] = (),
    silent_from: date | None = TODAY - timedelta(days=100),
    after_infusion: int | None = None,
) -> list[NewFinding]:
    day = FoldedDay(
        trend=trend,
        explanation=None,
        onset=None,
        waning=waning,
        improving=improving,
        begins=begins,
        days_after_infusion=trend.days_since_infusion if after_infusion is None else after_infusion,
    )
    of_days: Found = dict(known) if isinstance(known, dict) else dict.fromkeys(known, Tier.REVIEW)
    return day_rules.findings_of_day(day, of_days, booked_days=booked, silent_from=silent_from)


def rules_of(findings: list[NewFinding]) -> list[tuple[Rule, Tier | None]]:
    return [(each.rule, each.tier) for each in findings]


@pytest.mark.parametrize(
    ("silent_days", "days_since_infusion", "known", "gives"),
    [
        (1, 1, set(), []),
        (2, None, set(), []),
        (2, 3, set(), []),
        (2, 2, set(), [(Rule.SILENCE_AFTER_INFUSION, Tier.TODAY)]),
        (3, None, set(), [(Rule.SILENCE, Tier.REVIEW)]),
        (3, 3, {(Rule.SILENCE_AFTER_INFUSION, TODAY - timedelta(days=1))}, []),
        (4, None, {(Rule.SILENCE, TODAY - timedelta(days=1))}, []),
        (4, None, {(Rule.SILENCE, TODAY - timedelta(days=9))}, [(Rule.SILENCE, Tier.REVIEW)]),
        # An infusion in the middle of a silence: nobody should wait.
        (6, 2, {(Rule.SILENCE, TODAY - timedelta(days=3))}, [(Rule.SILENCE_AFTER_INFUSION, Tier.TODAY)]),
    ],
)
def test_silence_weighs_more_right_after_an_infusion(
    silent_days: int, days_since_infusion: int | None, known: set[tuple[Rule, date]], gives: list[tuple[Rule, Tier]]
) -> None:
    trend = a_trend(silent_days=silent_days, days_since_infusion=days_since_infusion)
    assert rules_of(found(trend, known=known)) == gives
    assert found(trend, known=known, silent_from=None) == []


def test_the_second_silent_day_after_an_infusion_may_be_the_next_one_s_own() -> None:
    """As in the first two weeks: the trend counts from today's, the silence from the one before."""
    trend = a_trend(silent_days=2, days_since_infusion=0)
    [finding] = found(trend, after_infusion=2)
    assert (finding.rule, finding.tier) == (Rule.SILENCE_AFTER_INFUSION, Tier.TODAY)
    assert finding.numbers == {"silent_days": 2, "days_since_infusion": 2}
    assert found(trend, after_infusion=3) == []


def test_waning_is_for_review_unless_the_next_infusion_comes_before_three_quarters_are_lost() -> None:
    """Given on the 16th, half lost on the 22nd after 6 days, three quarters on the 27th after 11."""
    trend, waning = a_trend(days_since_infusion=6), Waning(6.0, 4.0, 9.0)

    def with_booked(*booked: date) -> tuple[Tier | None, object]:
        [finding] = found(trend, waning=waning, booked=booked)
        assert finding.rule is Rule.WANING
        return finding.tier, finding.numbers["next_infusion_on"]

    assert with_booked() == (Tier.REVIEW, None)
    in_time, late = TODAY + timedelta(days=5), TODAY + timedelta(days=6)
    assert with_booked(late, TODAY - timedelta(days=6)) == (Tier.REVIEW, late.isoformat())
    assert with_booked(in_time, late) == (None, in_time.isoformat())
    assert with_booked(TODAY, late) == (None, TODAY.isoformat())
    quietly, aloud = ({(Rule.WANING, TODAY - timedelta(days=1)): tier} for tier in (None, Tier.REVIEW))
    for known, booked, told in ((quietly, (), 1), (quietly, (in_time,), 0), (aloud, (), 0)):
        assert len(found(trend, waning=waning, booked=booked, known=known)) == told, "one that comes no more is news"
    [last] = found(trend, waning=waning, booked=(TODAY + timedelta(days=10),))
    assert last.numbers["left_at_next_infusion"] == 0.125, "three half-lives of 5 days after the first day"


def test_an_improvement_is_told_once_in_four_weeks() -> None:
    improving = Improving(2.5, [-1.5, 1.0, None], [0.5, 0.6, None])
    [finding] = found(a_trend(), improving=improving)
    assert (finding.rule, finding.tier) == (Rule.IMPROVING, None)
    assert finding.numbers["items"] == [
        {"item": "craving", "change": -1.5, "se": 0.5},
        {"item": "mood", "change": 1.0, "se": 0.6},
    ]
    assert found(a_trend(), improving=improving, known={(Rule.IMPROVING, TODAY - timedelta(days=27))}) == []
    assert found(a_trend(), improving=improving, known={(Rule.IMPROVING, TODAY - timedelta(days=28))}) == [finding]


def test_learning_is_told_on_the_day_it_begins() -> None:
    for begins, days in ((Learning.FIRST, 21), (Learning.ANEW, 0)):
        [finding] = found(a_trend(), begins=begins)
        assert (finding.rule, finding.tier) == (Rule.LEARNING, None)
        assert finding.numbers == {"check_ins_needed": 7, "days_needed": days}
    assert found(a_trend()) == []


@pytest.mark.slow
@pytest.mark.parametrize("asked", [(True, True, True), (True, False, False), (False, True, True)])
def test_stable_people_seem_better_now_and_then_and_relieved_ones_soon(asked: tuple[bool, bool, bool]) -> None:
    rules, population = shipped_rules(60), Population(asked=asked)

    def first_days(worsening: Worsening | None) -> list[int]:
        """Days from day 60 on until somebody is told to be better; 99 for nobody."""
        made = cohort(31, 120, population=population, worsening=worsening)
        better = better_of(fold(State.fresh(120, rules), made.days, rules)[1], rules).statistic > 2.0
        since = np.maximum(made.onset, 60)
        return [
            int(np.flatnonzero(row[day:])[0]) if row[day:].any() else 99 for row, day in zip(better, since, strict=True)
        ]

    stable, relieved = first_days(None), first_days(Worsening("step", -2.5, by_item=(1.0, 1.0, 1.0)))
    assert np.mean([day < 30 for day in stable]) < 0.2
    assert np.mean([day < 14 for day in relieved]) > 0.75
