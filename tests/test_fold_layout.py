"""A state that another version of the detector wrote: the days are folded again, and what was told stays told."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from schemas.alert import Rule
from service import database as databases
from service.alerting import findings
from service.database import Pool
from service.facts import fold_queue
from tests.builders import NOW, a_client, a_clinic, an_answer, days_of
from tests.folding import findings_of, folded, trend_of

TODAY = date(2026, 11, 22)
USUAL, WORSE = [3, 4, 2, 3, 3, 5, 2, 3, 4, 3] * 6, [9, 8, 9, 9, 8, 9]


@pytest.mark.parametrize("is_before_all_states", [False, True])
async def test_the_days_are_folded_from_the_first_and_nothing_of_the_past_is_told_anew(
    jobs_pool: Pool, owner_pool: Pool, is_before_all_states: bool
) -> None:
    """Also of a client whose due day lies before every state that is kept."""
    clinic = await a_clinic(owner_pool)
    until = TODAY - timedelta(days=1)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=until - timedelta(days=len(USUAL) + len(WORSE) - 1))
        await days_of(db, client_id, until=until, craving=[*USUAL, *WORSE])
    await folded(jobs_pool, clinic, client_id)
    before = await trend_of(owner_pool, clinic, client_id)
    [found] = [each for each in await findings_of(owner_pool, clinic) if each.rule is Rule.WORSENING]
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        # As if the version before had not found it.
        await findings.withdraw(db, found.finding_id, why="a test", now=NOW)
        await db.execute("update trend_checkpoint set state = 'old' where clinic_id = $1", clinic.clinic_id)
        await an_answer(db, client_id, TODAY, craving=9)
        due_from = TODAY - timedelta(days=1 if is_before_all_states else 0)
        if is_before_all_states:
            await db.execute(
                "delete from trend_checkpoint where clinic_id = $1 and client_day < $2", db.clinic_id, due_from
            )
        await fold_queue.mark_due(db, client_id, from_day=due_from, now=NOW)
    counts = await folded(jobs_pool, clinic, client_id)
    assert (counts.clients, counts.opened, counts.joined) == (1, 0, 0)
    assert counts.client_days == len(USUAL) + len(WORSE) + 1
    after = await trend_of(owner_pool, clinic, client_id)
    assert after[: len(before)] == before
    assert [each for each in await findings_of(owner_pool, clinic) if each.rule is Rule.WORSENING] == []
