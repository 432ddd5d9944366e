"""Whatever the order of answers and wherever folds fall in between, the same trend and findings come out."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.alert import Rule
from schemas.trend import Trend
from service import database as databases
from service import day_close, ids
from service.database import Pool
from tests.builders import NOW, a_client, a_clinic, an_answer, an_infusion
from tests.folding import findings_of, folded, trend_of

TODAY = date(2026, 11, 22)


class History(msgspec.Struct, frozen=True):
    """What happened to a client: days of answers (days ago, craving), and of infusions."""

    answers: dict[int, int]
    infusions: list[int]


HISTORIES = st.builds(
    History,
    answers=st.dictionaries(st.integers(0, 50), st.integers(0, 10), min_size=1),
    infusions=st.lists(st.integers(1, 50), max_size=4, unique=True),
)


async def outcome_of(
    owner: Pool, jobs: Pool, history: History, order: list[int], folds_at: dict[int, int]
) -> tuple[list[Trend], list[tuple[Rule, date]]]:
    """Let the answers come in this order, and fold in between: after the i-th, as of so many days ago."""
    clinic = await a_clinic(owner, slug=f"clinic-{ids.new().hex[-12:]}")
    async with databases.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=45))
        for days_ago in history.infusions:
            given_at = datetime.combine(TODAY - timedelta(days=days_ago), time(18), NOW.tzinfo)
            await an_infusion(db, client_id, given_at=given_at)
    for place, days_ago in enumerate(order):
        async with databases.transaction(owner, clinic.clinic_id) as db:
            await an_answer(db, client_id, TODAY - timedelta(days=days_ago), craving=history.answers[days_ago])
        if place in folds_at:
            await folded(jobs, clinic, client_id, now=NOW - timedelta(days=folds_at[place]))
    async with databases.transaction(owner, clinic.clinic_id) as db:
        await day_close.mark_due(db, now=NOW)
    await folded(jobs, clinic, client_id)
    found = [(each.rule, each.client_day) for each in await findings_of(owner, clinic, quiet=True)]
    return await trend_of(owner, clinic, client_id), found


async def check_history(owner: Pool, jobs: Pool, data: st.DataObject) -> None:
    history = data.draw(HISTORIES)
    at_once = await outcome_of(owner, jobs, history, sorted(history.answers), {})
    order = data.draw(st.permutations(sorted(history.answers)))
    folds_at = data.draw(st.dictionaries(st.integers(0, len(order) - 1), st.integers(0, 20), max_size=6))
    assert await outcome_of(owner, jobs, history, order, folds_at) == at_once


@given(data=st.data())
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
async def test_any_order_of_answers_and_any_folds_in_between_give_the_same_trend_and_findings(
    owner_pool: Pool, jobs_pool: Pool, data: st.DataObject
) -> None:
    await check_history(owner_pool, jobs_pool, data)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
async def test_many_orders_and_folds(owner_pool: Pool, jobs_pool: Pool, data: st.DataObject) -> None:
    await check_history(owner_pool, jobs_pool, data)


async def test_an_answer_dated_by_a_clock_that_lost_its_date_opens_no_years_of_silence(
    owner_pool: Pool, jobs_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=9))
        await an_answer(db, client_id, TODAY - timedelta(days=2))
        await an_answer(db, client_id, TODAY - timedelta(days=40))
    await folded(jobs_pool, clinic, client_id)
    before = await trend_of(owner_pool, clinic, client_id)
    assert before[0].client_day == TODAY - timedelta(days=40)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await an_answer(db, client_id, date(1970, 1, 1))
    await folded(jobs_pool, clinic, client_id)
    assert await trend_of(owner_pool, clinic, client_id) == before
