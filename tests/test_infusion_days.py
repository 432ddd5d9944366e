"""Every check-in knows its infusion day, and the curves by infusion, for any edit of the schedule."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.alert import Rule
from schemas.course import Infusion, InfusionState, PauseReason
from service import database, day_close, ids
from service.config import Config
from service.database import Pool
from service.facts import pauses
from service.facts.infusion_days import Timeline, numbers_of
from tests.builders import NOW, a_client, a_clinic, an_answer, an_infusion, days_of
from tests.folding import findings_of, folded, trend_of
from tests.treatment import Treated, a_treated_client

UTC_ZONE = ZoneInfo("UTC")
TODAY = NOW.astimezone(ZoneInfo("America/Chicago")).date()


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool) as made:
        yield made


def an_infusion_at(planned_at: datetime, state: InfusionState = InfusionState.GIVEN) -> Infusion:
    return Infusion(
        infusion_id=ids.new(),
        client_id=ids.new(),
        course_id=ids.new(),
        schedule_id=None,
        state=state,
        planned_at=planned_at,
        given_at=planned_at if state is InfusionState.GIVEN else None,
        dose_mg_per_kg=None,
        duration_minutes=None,
        reason=None,
        version=1,
    )


def at(day: int, hour: float) -> datetime:
    return datetime(2026, 11, day, tzinfo=UTC) + timedelta(hours=hour)


def test_on_an_infusions_own_day_the_instants_decide_on_which_side_an_answer_is() -> None:
    booked = [an_infusion_at(at(10, 14)), an_infusion_at(at(17, 14)), an_infusion_at(at(24, 14), InfusionState.PLANNED)]
    timeline = Timeline.of(booked, UTC_ZONE)
    morning, evening = timeline.place(at(17, 9), at(17, 9).date()), timeline.place(at(17, 20), at(17, 20).date())
    assert (morning.number, morning.days_since, morning.hours_since, morning.days_to_next) == (1, 7, 163.0, 0)
    assert (evening.number, evening.days_since, evening.hours_since, evening.days_to_next) == (2, 0, 6.0, 7)
    first = timeline.place(at(9, 9), at(9, 9).date())
    assert (first.number, first.days_since, first.hours_since, first.days_to_next) == (None, None, None, 1)
    after_midnight = timeline.place(at(18, 2), at(17, 2).date())
    assert (after_midnight.number, after_midnight.days_since, after_midnight.hours_since) == (2, 0, 12.0)


def test_held_missed_and_cancelled_infusions_are_not_awaited_and_have_no_number() -> None:
    others = [an_infusion_at(at(n, 9), state) for n, state in ((20, InfusionState.HELD), (21, InfusionState.CANCELLED))]
    booked = [an_infusion_at(at(10, 9)), *others, an_infusion_at(at(11, 9), InfusionState.MISSED)]
    place = Timeline.of(booked, UTC_ZONE).place(at(15, 9), at(15, 9).date())
    assert (place.number, place.days_since, place.next_at, place.days_to_next) == (1, 5, None, None)
    assert numbers_of(booked) == {booked[0].infusion_id: 1}


async def give(treated: Treated, ago: int) -> Any:
    """An infusion given at noon, so many days ago."""
    given_at = datetime.combine(treated.today - timedelta(days=ago), time(12), UTC).isoformat()
    planned = await treated.put(f"infusions/{ids.new()}", {"planned_at": given_at})
    body = {"state": "given", "given_at": given_at, "dose_mg_per_kg": 0.5, "duration_minutes": 40}
    return await treated.post(f"infusions/{planned['infusion_id']}/state", body)


async def answer(treated: Treated, ago: int, craving: int | dict[str, int], hour: int = 18) -> UUID:
    """An answer at that hour (Chicago) of a client day."""
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        day = treated.today - timedelta(days=ago)
        return await an_answer(db, treated.client_id, day, craving=craving, mood=5, anxiety=4, at=time(hour))


async def places(treated: Treated) -> list[tuple[int | None, int | None, int | None]]:
    items = (await treated.get("infusion-days"))["items"]
    days = [each["infusion_day"] for each in items]
    return [(day["number"], day["days_since"], day["days_to_next"]) for day in days][::-1]


async def test_infusion_days_are_read_a_page_at_a_time(treated: Treated) -> None:
    for ago in range(1, 6):
        await answer(treated, ago, 3)
    whole = await treated.get("infusion-days")
    assert (len(whole["items"]), whole["next"]) == (5, None)
    page = await treated.get("infusion-days?limit=2")
    items = page["items"]
    while page["next"]:
        page = await treated.get(f"infusion-days?limit=2&before={page['next']}")
        items += page["items"]
    assert items == whole["items"]


async def test_infusion_days_follow_every_edit_of_the_schedule(treated: Treated) -> None:
    first, second = await give(treated, 12), await give(treated, 5)
    for ago in (13, 11, 4, 3):
        await answer(treated, ago, 3, hour=14)
    assert await places(treated) == [(None, None, 1), (1, 1, 6), (2, 1, None), (2, 2, None)]
    await treated.post(f"infusions/{first['infusion_id']}/state", {"state": "cancelled", "reason": "entered_in_error"})
    assert await places(treated) == [(None, None, 8), (None, None, 6), (1, 1, None), (1, 2, None)]
    moved = datetime.combine(treated.today - timedelta(days=4), time(9), UTC).isoformat()
    await treated.post(f"infusions/{second['infusion_id']}/state", {"state": "given", "given_at": moved})
    assert await places(treated) == [(None, None, 9), (None, None, 7), (1, 0, None), (1, 1, None)]
    booked = datetime.combine(treated.today + timedelta(days=2), time(12), UTC).isoformat()
    await treated.put(f"infusions/{ids.new()}", {"planned_at": booked})
    assert [place[2] for place in await places(treated)] == [9, 7, 6, 5]


async def test_a_day_after_one_infusion_is_held_against_the_same_day_after_the_one_before(treated: Treated) -> None:
    for ago in (21, 14, 7):
        await give(treated, ago)
    # At 14:00 in Chicago it is evening in UTC: the answer of an infusion's own day comes after it.
    for ago, craving in {22: 8, 20: 5, 19: 4, 15: 7, 14: 3, 13: 2, 12: 3, 6: 1}.items():
        await answer(treated, ago, craving, hour=14)
    curves = (await treated.get("infusion-curves?days=5"))["items"]
    assert [curve["number"] for curve in curves] == [1, 2, 3]
    assert {curve["dose_mg_per_kg"] for curve in curves} == {0.5}
    points = [[(point["days_since"], point["craving"]) for point in curve["points"]] for curve in curves]
    assert points == [[(1, 5), (2, 4)], [(0, 3), (1, 2), (2, 3)], [(1, 1)]]
    assert [curve["before"] and curve["before"]["craving"] for curve in curves] == [8, 7, None]
    assert [curve["before"] and curve["before"]["days_since"] for curve in curves] == [-1, -1, None]
    changes = [[(each["days_since"], each["craving"]) for each in curve["against_previous"]] for curve in curves]
    assert changes == [[], [(1, -3), (2, -1)], [(1, -1)]]


async def test_a_partly_answered_day_gives_no_craving_to_the_curve(treated: Treated) -> None:
    await treated.post("course/substances", {"substances": ["alcohol", "cocaine"], "from_on": treated.day(6)})
    await give(treated, 8)
    await answer(treated, 7, 3, hour=14)
    await answer(treated, 6, 3, hour=14)
    await answer(treated, 5, {"alcohol": 3, "cocaine": 6}, hour=14)
    (curve,) = (await treated.get("infusion-curves"))["items"]
    assert [point["craving"] for point in curve["points"]] == [3, None, 6]
    assert [point["mood"] for point in curve["points"]] == [5, 5, 5]


async def test_no_infusion_no_curve(treated: Treated) -> None:
    assert (await treated.get("infusion-curves"))["items"] == []
    for days in (0, 61):
        address = f"/v1/clients/{treated.client_id}/infusion-curves?days={days}"
        assert (await treated.http.get(address, headers=treated.person.bearer)).status_code == 400


async def a_silent_client(
    owner: Pool, jobs: Pool, *, paused: tuple[int, int] | None, infusion_ago: int | None = None
) -> tuple[list[tuple[Rule, int]], list[int | None]]:
    """Of a client who answered until ten days ago: which silences were found (days ago), and days since infusion."""
    clinic = await a_clinic(owner)
    async with database.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=40))
        if infusion_ago is not None:
            given_at = datetime.combine(TODAY - timedelta(days=infusion_ago), time(12), ZoneInfo("America/Chicago"))
            await an_infusion(db, client_id, given_at=given_at)
        await days_of(db, client_id, until=TODAY - timedelta(days=10), craving=[3] * 30)
        if paused is not None:
            await pauses.begin(
                db,
                client_id,
                from_on=TODAY - timedelta(days=paused[0]),
                until_on=TODAY - timedelta(days=paused[1]),
                reason=PauseReason.INPATIENT,
                by=None,
                now=NOW,
            )
        await day_close.mark_due(db, now=NOW)
    await folded(jobs, clinic, client_id)
    found = [(each.rule, (TODAY - each.client_day).days) for each in await findings_of(owner, clinic, of_silence=True)]
    return found, [day.days_since_infusion for day in await trend_of(owner, clinic, client_id)]


async def test_a_paused_client_is_not_silent_and_silence_begins_anew_afterwards(
    owner_pool: Pool, jobs_pool: Pool
) -> None:
    found, _ = await a_silent_client(owner_pool, jobs_pool, paused=(9, 5))
    assert found == [(Rule.SILENCE, 2)]


async def test_without_a_pause_the_same_days_are_silent(owner_pool: Pool, jobs_pool: Pool) -> None:
    found, _ = await a_silent_client(owner_pool, jobs_pool, paused=None)
    assert found == [(Rule.SILENCE, 7)]


async def test_the_days_of_a_pause_count_on_the_infusions_clock(owner_pool: Pool, jobs_pool: Pool) -> None:
    found, since = await a_silent_client(owner_pool, jobs_pool, paused=(9, 5), infusion_ago=12)
    assert since[-6:] == [1, 2, 8, 9, 10, 11]
    assert found == [(Rule.SILENCE, 2)]
