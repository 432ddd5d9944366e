"""A client's facts become trend rows, findings and alerts: the same whatever order they arrive in."""

from __future__ import annotations

import asyncio
from datetime import date, datetime, time, timedelta
from uuid import UUID

import asyncpg
import pytest

from schemas.alert import AlertState, EventKind, Outcome, Rule, Tier
from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.course import Substance
from schemas.trend import Status
from service import database as databases
from service import day_close, fold, ids
from service.alerting import alerts
from service.database import Pool
from service.facts import courses, fold_queue, infusions
from service.fold import facts
from tests.builders import NOW, a_client, a_clinic, an_answer, an_infusion, days_of
from tests.folding import findings_of, folded, trend_of

TODAY = date(2026, 11, 22)
STABLE = [3, 4, 2, 3, 3, 5, 2, 3, 4, 3] * 6
WORSE = [9, 9, 10, 9]


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def a_relapsing_client(pool: Pool, clinic: Clinic) -> UUID:
    """Sixty usual days and four much worse ones, the last of them today; nothing folded yet."""
    async with databases.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=63))
        await days_of(
            db,
            client_id,
            until=TODAY,
            craving=STABLE + WORSE,
            mood=[6] * 60 + [1, 1, 0, 1],
            anxiety=[3, 4] * 30 + [9, 9, 9, 9],
        )
    return client_id


async def test_worsening_becomes_a_finding_and_an_alert_of_today(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    counts = await folded(jobs_pool, clinic, client_id)
    assert (counts.clients, counts.client_days) == (1, 64)
    rows = await trend_of(owner_pool, clinic, client_id)
    assert [row.client_day for row in rows] == [TODAY - timedelta(days=63 - i) for i in range(64)]
    assert rows[-1].status is Status.NOT_ON_TRACK
    crossing = next(row.client_day for row in rows if row.crossing)
    found = await findings_of(owner_pool, clinic)
    assert [(each.rule, each.client_day) for each in found] == [(Rule.WORSENING, crossing)]
    assert found[0].numbers["check_in_ids"]
    assert found[0].numbers["missing_days"] == 0
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        [alert] = await alerts.inbox(db, None)
        assert await fold.fold_client(db, client_id, now=NOW) == fold.Folded()
    assert alert.client_id == client_id


async def test_a_fold_that_is_run_twice_changes_nothing(jobs_pool: Pool, owner_pool: Pool, clinic: Clinic) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    await folded(jobs_pool, clinic, client_id)
    before = await trend_of(owner_pool, clinic, client_id)
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        counts = await fold.rebuild(db, client_id, now=NOW)
    assert (counts.client_days, counts.opened, counts.joined, counts.withdrawn) == (64, 0, 0, 0)
    assert await trend_of(owner_pool, clinic, client_id) == before


async def test_a_day_s_second_answer_costs_a_day_and_states_are_kept_of_days_that_are_over(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    await folded(jobs_pool, clinic, client_id)
    await an_evening_answer(owner_pool, clinic, client_id, patience="5s")
    assert (await folded(jobs_pool, clinic, client_id)).client_days == 1
    assert await checkpoint_days(owner_pool, clinic) == [date(2026, 9, 30), date(2026, 10, 31), date(2026, 11, 21)]
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await day_close.mark_due(db, now=NOW + timedelta(days=1))
    assert (await folded(jobs_pool, clinic, client_id, now=NOW + timedelta(days=1))).client_days == 1
    assert await checkpoint_days(owner_pool, clinic) == [date(2026, 9, 30), date(2026, 10, 31), date(2026, 11, 22)]
    assert [row.craving for row in await trend_of(owner_pool, clinic, client_id)][-2:] == [10, 0]


CHECKPOINT_DAYS = """
select client_day
from trend_checkpoint
where clinic_id = $1
order by client_day
"""


async def checkpoint_days(pool: Pool, clinic: Clinic) -> list[date]:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        return [row["client_day"] for row in await db.connection.fetch(CHECKPOINT_DAYS, clinic.clinic_id)]


async def test_a_late_answer_starts_again_from_the_checkpoint_before_it(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    late = TODAY - timedelta(days=30)
    orders = []
    for slug in ("in-order", "late"):
        own = await a_clinic(owner_pool, slug=slug)
        async with databases.transaction(owner_pool, own.clinic_id) as db:
            client_id = await a_client(db, started_on=TODAY - timedelta(days=63))
            craving: list[int | None] = [*STABLE, *WORSE]
            if slug == "late":
                craving[-31] = None
            await days_of(db, client_id, until=TODAY, craving=craving)
        await folded(jobs_pool, own, client_id)
        if slug == "late":
            async with databases.transaction(owner_pool, own.clinic_id) as db:
                await an_answer(db, client_id, late, craving=(STABLE + WORSE)[-31])
            assert (await folded(jobs_pool, own, client_id)).client_days == 31
        orders.append(await trend_of(owner_pool, own, client_id))
    assert orders[0] == orders[1]


async def test_a_finding_that_a_late_answer_takes_away_is_withdrawn_and_the_alert_stays(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    """Silent for three days; then the phone finds a network and the answers of those days come in."""
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=40))
        await days_of(db, client_id, until=TODAY - timedelta(days=4), craving=STABLE[:37])
        await fold_queue.mark_due(db, client_id, from_day=TODAY, now=NOW)
    await folded(jobs_pool, clinic, client_id)
    [silence] = await findings_of(owner_pool, clinic, of_silence=True)
    assert (silence.rule, silence.tier, silence.client_day) == (Rule.SILENCE, Tier.REVIEW, TODAY - timedelta(days=1))
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await days_of(db, client_id, until=TODAY - timedelta(days=1), craving=[3, 3, 4])
    counts = await folded(jobs_pool, clinic, client_id)
    assert counts.withdrawn == 1
    assert await findings_of(owner_pool, clinic, of_silence=True) == []
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        [alert] = await alerts.inbox(db, None)
        assert (alert.state, alert.recalculated_at) == (AlertState.OPEN, NOW)
        assert [event.kind for event in await alerts.events_of(db, alert.alert_id)][-1] is EventKind.RECALCULATED


async def test_a_crossing_found_late_is_for_review(jobs_pool: Pool, owner_pool: Pool, clinic: Clinic) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    await folded(jobs_pool, clinic, client_id, now=NOW + timedelta(days=10))
    worsening = next(each for each in await findings_of(owner_pool, clinic) if each.rule is Rule.WORSENING)
    assert (worsening.tier, worsening.found_late) == (Tier.REVIEW, True)


async def silent_client(pool: Pool, clinic: Clinic, *, silent_days: int, infusion_days_ago: int | None) -> UUID:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=40))
        last = TODAY - timedelta(days=1 + silent_days)
        await days_of(db, client_id, until=last, craving=STABLE[: 40 - silent_days])
        if infusion_days_ago is not None:
            given = datetime.combine(TODAY - timedelta(days=infusion_days_ago), time(18), NOW.tzinfo)
            await an_infusion(db, client_id, given_at=given)
    return client_id


@pytest.mark.parametrize(
    ("silent_days", "infusion_days_ago", "expected"),
    [
        (2, None, []),
        (3, None, [(Rule.SILENCE, Tier.REVIEW, 1)]),
        (6, None, [(Rule.SILENCE, Tier.REVIEW, 4)]),
        (1, 2, []),
        (2, 3, [(Rule.SILENCE_AFTER_INFUSION, Tier.TODAY, 1)]),
        (3, 4, [(Rule.SILENCE_AFTER_INFUSION, Tier.TODAY, 2)]),
        (4, 3, [(Rule.SILENCE, Tier.REVIEW, 2), (Rule.SILENCE_AFTER_INFUSION, Tier.TODAY, 1)]),
    ],
)
async def test_silence_is_found_once_a_stretch_and_weighs_more_after_an_infusion(
    jobs_pool: Pool,
    owner_pool: Pool,
    clinic: Clinic,
    silent_days: int,
    infusion_days_ago: int | None,
    expected: list[tuple[Rule, Tier, int]],
) -> None:
    client_id = await silent_client(owner_pool, clinic, silent_days=silent_days, infusion_days_ago=infusion_days_ago)
    # A day after the other, as the clock closes them: what was told is not told again.
    for days_ago in range(silent_days, -1, -1):
        async with databases.transaction(owner_pool, clinic.clinic_id) as db:
            await day_close.mark_due(db, now=NOW - timedelta(days=days_ago))
        await folded(jobs_pool, clinic, client_id, now=NOW - timedelta(days=days_ago))
    silences = await findings_of(owner_pool, clinic, of_silence=True)
    assert [(each.rule, each.tier, (TODAY - each.client_day).days) for each in silences] == expected
    rows = await trend_of(owner_pool, clinic, client_id)
    assert rows[-1].client_day == TODAY - timedelta(days=1)
    assert rows[-1].silent_days == silent_days
    if silent_days >= 3:
        assert rows[-1].status is Status.NO_DATA


async def test_closing_days_is_done_once_and_waits_for_the_client_s_own_morning(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        here = await a_client(db, started_on=TODAY - timedelta(days=3))
        there = await a_client(db, started_on=TODAY - timedelta(days=3), time_zone="Asia/Tokyo")
        left = await a_client(db, started_on=TODAY - timedelta(days=30), given_name="Lou")
        course = (await courses.of(db, left))[0]
        await courses.end(db, course.course_id, ended_on=TODAY - timedelta(days=20), now=NOW)
    # 03:59 in Chicago on the 22nd is the evening of the 22nd in Tokyo: the 21st is over there, and not yet here.
    early = datetime(2026, 11, 22, 9, 59, tzinfo=NOW.tzinfo)
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        assert set(await day_close.mark_due(db, now=early)) == {here, there, left}
        await fold.fold_clients(db, None, now=early)
        assert await day_close.mark_due(db, now=early) == []
        assert await day_close.mark_due(db, now=early + timedelta(minutes=2)) == [here]
    last_days = [(await trend_of(owner_pool, clinic, each))[-1].client_day for each in (here, there, left)]
    assert last_days == [TODAY - timedelta(days=2), TODAY - timedelta(days=1), TODAY - timedelta(days=20)]


async def test_a_day_s_craving_is_the_highest_and_needs_every_substance_of_the_course(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        substances = [Substance.ALCOHOL, Substance.COCAINE]
        client_id = await a_client(db, substances=substances, started_on=TODAY - timedelta(days=2))
        await an_answer(db, client_id, TODAY - timedelta(days=2), craving={"alcohol": 2, "cocaine": 7})
        await an_answer(db, client_id, TODAY - timedelta(days=1), craving={"alcohol": 2})
        await an_answer(db, client_id, TODAY, craving={"alcohol": 2, "cocaine": 1, "other": 10})
    await folded(jobs_pool, clinic, client_id)
    rows = await trend_of(owner_pool, clinic, client_id)
    assert [(row.craving, row.partly, row.answered, row.mood) for row in rows] == [
        (7, False, True, 6),
        (None, True, True, 6),
        (2, False, True, 6),
    ]


async def test_an_imported_history_becomes_trends_and_closed_alerts_and_is_never_silent(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=163), origin=RecordOrigin.IMPORT)
        for i, craving in enumerate(STABLE + WORSE):
            day = TODAY - timedelta(days=163 - i)
            await an_answer(db, client_id, day, craving=craving, anxiety=craving, mood=10 - craving, source="study")
    await folded(jobs_pool, clinic, client_id)
    rows = await trend_of(owner_pool, clinic, client_id)
    assert rows[-1].client_day == TODAY - timedelta(days=100)
    assert {row.origin for row in rows} == {RecordOrigin.IMPORT}
    found = await findings_of(owner_pool, clinic)
    assert {(each.rule, each.tier, each.found_late) for each in found} == {(Rule.WORSENING, Tier.TODAY, False)}
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        assert await alerts.inbox(db, None) == []
        history = await alerts.inbox(db, None, closed=True)
        assert {alert.state for alert in history} == {AlertState.AUTO_RESOLVED}
        assert await day_close.mark_due(db, now=NOW) == []


async def test_new_usual_ends_the_episode_from_its_day_on(jobs_pool: Pool, owner_pool: Pool, clinic: Clinic) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    await folded(jobs_pool, clinic, client_id)
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        [alert] = await alerts.inbox(db, None)
        await alerts.resolve(db, alert.alert_id, Outcome.NEW_USUAL, by=ids.new(), now=NOW)
    await folded(jobs_pool, clinic, client_id)
    rows = await trend_of(owner_pool, clinic, client_id)
    assert rows[-2].status is Status.NOT_ON_TRACK
    assert rows[-1].status is not Status.NOT_ON_TRACK
    found = await findings_of(owner_pool, clinic, quiet=True)
    learning = [(each.client_day, each.numbers["days_needed"]) for each in found if each.rule is Rule.LEARNING]
    assert learning == [(rows[0].client_day, 21), (rows[-1].client_day, 0)]


async def test_two_folds_of_one_client_at_once_do_the_work_once(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    counts = await asyncio.gather(*(folded(jobs_pool, clinic, client_id) for _ in range(4)))
    assert sorted(each.clients for each in counts) == [0, 0, 0, 1]
    assert len(await findings_of(owner_pool, clinic)) == 1


async def an_evening_answer(pool: Pool, clinic: Clinic, client_id: UUID, *, patience: str) -> None:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        await db.connection.execute(f"set local lock_timeout = '{patience}'")
        await an_answer(db, client_id, TODAY, craving=0, at=time(20))


async def test_an_answer_that_comes_during_a_fold_waits_for_it_and_is_folded_next(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)

    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        await fold.fold_client(db, client_id, now=NOW)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await an_evening_answer(owner_pool, clinic, client_id, patience="50ms")
    await an_evening_answer(owner_pool, clinic, client_id, patience="5s")
    assert (await folded(jobs_pool, clinic, client_id)).clients == 1
    assert (await trend_of(owner_pool, clinic, client_id))[-1].craving == 0


async def test_a_course_that_ends_takes_the_days_after_it_out_of_the_trend(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    client_id = await a_relapsing_client(owner_pool, clinic)
    await folded(jobs_pool, clinic, client_id)
    last = TODAY - timedelta(days=10)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await courses.end(db, (await courses.of(db, client_id))[0].course_id, ended_on=last, now=NOW)
    counts = await folded(jobs_pool, clinic, client_id)
    assert (await trend_of(owner_pool, clinic, client_id))[-1].client_day == last
    assert (counts.withdrawn, await findings_of(owner_pool, clinic)) == (1, [])


async def test_clients_folded_together_come_out_as_if_folded_alone(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    first = await a_relapsing_client(owner_pool, clinic)
    second = await silent_client(owner_pool, clinic, silent_days=3, infusion_days_ago=12)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        third = await a_client(db, started_on=TODAY - timedelta(days=100))
        await days_of(db, third, until=TODAY - timedelta(days=50), craving=[4, None, 5] * 15)
    together = await fold.fold_many(jobs_pool, clinic.clinic_id, [first, second, third], now=NOW)
    rows = [await trend_of(owner_pool, clinic, each) for each in (first, second, third)]
    assert together.clients == 3
    for client_id in (first, second, third):
        async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
            assert (await fold.rebuild(db, client_id, now=NOW)).withdrawn == 0
    assert [await trend_of(owner_pool, clinic, each) for each in (first, second, third)] == rows


async def test_a_benefit_that_wanes_is_found_once_an_infusion_with_the_next_one_booked(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    """Infusions every 24 days, each a relief of six points that is halved in four days; the usual level is 8."""
    given = [TODAY - timedelta(days=days) for days in (112, 88, 64, 40, 16)]
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=140))
        course = (await courses.of(db, client_id))[0]
        booked_at = datetime.combine(TODAY + timedelta(days=8), time(18), NOW.tzinfo)
        await infusions.plan(db, client_id, course.course_id, planned_at=booked_at, by=None, now=NOW)
        for day in given:
            await an_infusion(db, client_id, given_at=datetime.combine(day, time(18), NOW.tzinfo))
        for days_ago in range(140, -1, -1):
            day = TODAY - timedelta(days=days_ago)
            since = min(((day - each).days for each in given if each < day), default=None)
            relief = 0.0 if since is None else 6 * 0.5 ** ((since - 1) / 4)
            wiggle = days_ago % 2
            craving, anxiety = round(8 - relief) + wiggle, round(7 - relief) + wiggle
            mood = min(10, round(3 + relief) - wiggle)
            await an_answer(db, client_id, day, craving=craving, mood=mood, anxiety=anxiety)
    await folded(jobs_pool, clinic, client_id)
    waning = [each for each in await findings_of(owner_pool, clinic) if each.rule is Rule.WANING]
    assert len(waning) >= 2
    assert len({max(day for day in given if day < each.client_day) for each in waning}) == len(waning)
    assert {each.tier for each in waning} == {Tier.REVIEW}
    newest = waning[-1].numbers
    assert newest["next_infusion_on"] == (TODAY + timedelta(days=8)).isoformat()
    low, half, high = (newest[name] for name in ("days_to_half_low", "days_to_half", "days_to_half_high"))
    assert isinstance(low, float)
    assert isinstance(half, float)
    assert isinstance(high, float)
    assert 0 < low < half < high


async def test_facts_that_change_while_a_fold_computes_are_not_lost(
    jobs_pool: Pool, owner_pool: Pool, clinic: Clinic
) -> None:
    """Between reading and locking an answer is committed: the fold leaves the client to the next one."""
    client_id = await a_relapsing_client(owner_pool, clinic)
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        due = await facts.due(db, None, limit=16, now=NOW)
        assert await facts.hold(db, due) == {client_id}
    await an_evening_answer(owner_pool, clinic, client_id, patience="5s")
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        assert await facts.hold(db, due) == set()
    assert (await folded(jobs_pool, clinic, client_id)).clients == 1
    assert (await trend_of(owner_pool, clinic, client_id))[-1].craving == 0
