"""A fold counts no day of a pause, and what it says of days is said of the calendar's."""

from __future__ import annotations

from datetime import date, timedelta

from schemas.alert import Outcome, Rule
from schemas.course import PauseReason
from service import database as databases
from service import day_close, fold, ids
from service.alerting import alerts
from service.database import Pool
from service.facts import pauses
from tests.builders import NOW, a_client, a_clinic, days_of
from tests.folding import findings_of, folded

TODAY = date(2026, 11, 22)
AFTER = 4
PAUSED = 21
BEFORE = 1
USUAL = 60
ONE_DAY = timedelta(days=1)


async def test_a_worsening_from_before_a_pause_is_not_said_to_have_begun_in_it(
    jobs_pool: Pool, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    paused_until = TODAY - timedelta(days=AFTER)
    paused_from = paused_until - timedelta(days=PAUSED - 1)
    worse, usual = [5, 5, 6, 6], [3, 4, 2, 3, 3, 5, 2, 3, 4, 3] * 6
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=paused_from - timedelta(days=USUAL + BEFORE))
        before = [*usual, *worse[:BEFORE]]
        await days_of(db, client_id, until=paused_from - timedelta(days=1), craving=before)
        await pauses.begin(
            db,
            client_id,
            from_on=paused_from,
            until_on=paused_until,
            reason=PauseReason.TRAVEL,
            by=None,
            now=NOW,
        )
        await days_of(db, client_id, until=TODAY, craving=worse)
    await folded(jobs_pool, clinic, client_id)
    [found] = [each for each in await findings_of(owner_pool, clinic) if each.rule is Rule.WORSENING]
    assert found.client_day > paused_until
    on = [date.fromisoformat(str(found.numbers[name])) for name in ("onset_first_on", "onset_on", "onset_last_on")]
    assert on == sorted(on)
    assert not any(paused_from <= each <= paused_until for each in on)
    assert on[1] < paused_from


async def test_a_new_usual_said_in_a_pause_is_learned_from_its_end_on_however_often_was_folded_meanwhile(
    jobs_pool: Pool, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    paused_from = TODAY - timedelta(days=6)
    usual, worse = [3, 4, 2, 3, 3, 5, 2, 3, 4, 3] * 6, [9, 8, 9, 9, 8, 9]
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=paused_from - timedelta(days=len(usual) + len(worse)))
        await days_of(db, client_id, until=paused_from - timedelta(days=1), craving=[*usual, *worse])
        await pauses.begin(
            db, client_id, from_on=paused_from, until_on=TODAY - ONE_DAY, reason=PauseReason.INPATIENT, by=None, now=NOW
        )
    for days_ago in range(6, -1, -1):
        now = NOW - timedelta(days=days_ago)
        async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
            await day_close.mark_due(db, now=now)
            if days_ago == 4:
                [alert] = await alerts.inbox(db, [client_id])
                await alerts.resolve(db, alert.alert_id, Outcome.NEW_USUAL, by=ids.new(), now=now)
            if days_ago == 0:
                await days_of(db, client_id, until=TODAY, craving=[9])
        await folded(jobs_pool, clinic, client_id, now=now)
    found = [each for each in await findings_of(owner_pool, clinic, quiet=True) if each.rule is Rule.LEARNING]
    assert found[-1].client_day == TODAY
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        again = await fold.replay(db, client_id, now=NOW)
    assert [(each.rule, each.client_day) for each, found in again if found is None] == []
