"""The back-test finds what the live fold finds: the same history, through the file and through the database."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.alert import Rule
from service import database as databases
from service import day_close, ids
from service.backtest import answers, rules_file, run
from service.database import Pool
from service.detection.synthetic import Worsening, cohort
from tests.builders import NOW, a_client, a_clinic, an_answer, an_infusion
from tests.folding import findings_of, folded, trend_of

# The last client day that is over at NOW.
LAST = date(2026, 11, 21)
HEADER = "client,day,craving,mood,anxiety,infusion\n"


class History(msgspec.Struct, frozen=True):
    """A made-up client of so many days, who worsens by so much, and whom the phone failed on some days."""

    seed: int
    length: int
    size: float
    lost: frozenset[int]
    items_lost: dict[int, int]


HISTORIES = st.builds(
    History,
    seed=st.integers(0, 10_000),
    length=st.integers(5, 120),
    size=st.floats(0, 4),
    lost=st.frozensets(st.integers(0, 119), max_size=25),
    items_lost=st.dictionaries(st.integers(0, 119), st.integers(0, 2), max_size=10),
)

Finds = list[tuple[date, Rule, object, object]]
Days = list[tuple[date, tuple[int | None, ...], bool]]


def days_of(history: History) -> Days:
    """What the client answered, the last day on LAST."""
    made = cohort(history.seed, 1, worsening=Worsening("step", history.size), length_days=history.length).days
    days: Days = []
    for place in range(history.length):
        scores = [None if np.isnan(score) else int(score) for score in made.scores[0, place]]
        if place in history.items_lost:
            scores[history.items_lost[place]] = None
        if place in history.lost:
            scores = [None, None, None]
        day = LAST - timedelta(days=history.length - 1 - place)
        days.append((day, tuple(scores), bool(made.infusion[0, place])))
    return days


async def lived(owner: Pool, jobs: Pool, days: Days) -> Finds:
    """What the fold finds."""
    clinic = await a_clinic(owner, slug=f"clinic-{ids.new().hex[-12:]}")
    async with databases.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=days[0][0])
        for day, (craving, mood, anxiety), infusion in days:
            if infusion:
                await an_infusion(db, client_id, given_at=datetime.combine(day, time(18), NOW.tzinfo))
            if {craving, mood, anxiety} != {None}:
                await an_answer(db, client_id, day, craving=craving, mood=mood, anxiety=anxiety)
        await day_close.mark_due(db, now=NOW)
    await folded(jobs, clinic, client_id)
    assert len(await trend_of(owner, clinic, client_id)) == len(days)
    return sorted(
        (
            each.client_day,
            each.rule,
            each.numbers["statistic"],
            None if each.numbers["again"] else each.numbers["onset_on"],
        )
        if each.rule is Rule.WORSENING
        else (each.client_day, each.rule, None, None)
        for each in await findings_of(owner, clinic, quiet=True)
    )


def replayed(path: Path, days: Days) -> Finds:
    """What the back-test finds in the same days as a file."""
    text = HEADER
    for day, scores, infusion in days:
        cells = ",".join("" if score is None else str(score) for score in scores)
        text += f"ada,{day},{cells},{int(infusion)}\n"
    path.write_text(text)
    rules = rules_file.load(None, budget_days=None)
    rows, _ = run.find(answers.read(path), rules, workers=1, done=lambda _: None)
    return [
        (row.day, row.rule, row.statistic, row.onset_estimate and str(row.onset_estimate))
        if row.rule is Rule.WORSENING
        else (row.day, row.rule, None, None)
        for row in rows
    ]


async def check_history(owner: Pool, jobs: Pool, path: Path, history: History) -> Finds:
    days = days_of(history)
    live = await lived(owner, jobs, days)
    assert live == replayed(path, days)
    return live


@given(history=HISTORIES)
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
async def test_the_back_test_of_a_history_finds_what_living_through_it_found(
    owner_pool: Pool, jobs_pool: Pool, tmp_path: Path, history: History
) -> None:
    await check_history(owner_pool, jobs_pool, tmp_path / "history.csv", history)


async def test_it_finds_the_same_worsening_and_silence(owner_pool: Pool, jobs_pool: Pool, tmp_path: Path) -> None:
    history = History(3, 120, 3.0, frozenset({30, 31, 32}), {})
    found = await check_history(owner_pool, jobs_pool, tmp_path / "history.csv", history)
    assert {Rule.WORSENING, Rule.SILENCE} <= {rule for _, rule, _, _ in found}


@pytest.mark.slow
@given(history=HISTORIES)
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
async def test_the_back_test_of_many_histories_finds_what_living_through_them_found(
    owner_pool: Pool, jobs_pool: Pool, tmp_path: Path, history: History
) -> None:
    await check_history(owner_pool, jobs_pool, tmp_path / "history.csv", history)
