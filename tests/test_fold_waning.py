"""A benefit that wanes while the next infusion is booked: told where that one comes no more, and told once."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from uuid import UUID

from schemas.alert import Finding, Rule, Tier
from schemas.clinic import Clinic
from schemas.course import ChangeReason
from service import database as databases
from service import day_close
from service.database import Pool
from service.facts import courses, fold_queue, infusions
from tests.builders import NOW, a_client, a_clinic, an_answer, an_infusion
from tests.folding import findings_of, folded

TODAY = date(2026, 11, 22)
ONE_DAY = timedelta(days=1)
SINCE_LAST = 8


async def a_relieved_client(pool: Pool, clinic: Clinic) -> UUID:
    """Infusions every 24 days, each a relief of six points that is halved in four days, the last one eight days ago and
    another booked for tomorrow; the usual level is 8."""
    given = [TODAY - timedelta(days=SINCE_LAST + 24 * each) for each in range(4, -1, -1)]
    async with databases.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=given[0] - timedelta(days=28))
        course = (await courses.of(db, client_id))[0]
        booked_at = datetime.combine(TODAY + ONE_DAY, time(18), NOW.tzinfo)
        await infusions.plan(db, client_id, course.course_id, planned_at=booked_at, by=None, now=NOW)
        for day in given:
            await an_infusion(db, client_id, given_at=datetime.combine(day, time(18), NOW.tzinfo))
        day = course.started_on
        while day <= TODAY:
            since = min(((day - each).days for each in given if each < day), default=None)
            relief = 0.0 if since is None else 6 * 0.5 ** ((since - 1) / 4)
            wiggle = day.toordinal() % 2
            craving, anxiety = round(8 - relief) + wiggle, round(7 - relief) + wiggle
            mood = min(10, round(3 + relief) - wiggle)
            await an_answer(db, client_id, day, craving=craving, mood=mood, anxiety=anxiety)
            day += ONE_DAY
    return client_id


async def of_the_last(pool: Pool, clinic: Clinic) -> list[Finding]:
    found = await findings_of(pool, clinic, quiet=True)
    began = TODAY - timedelta(days=SINCE_LAST)
    return [each for each in found if each.rule is Rule.WANING and each.client_day > began]


async def test_where_the_infusion_that_was_to_come_in_time_comes_no_more_it_is_told_once(
    jobs_pool: Pool, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    client_id = await a_relieved_client(owner_pool, clinic)
    for days_ago in (2, 1, 0):
        async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
            await day_close.mark_due(db, now=NOW - days_ago * ONE_DAY)
        await folded(jobs_pool, clinic, client_id, now=NOW - days_ago * ONE_DAY)
    [quiet] = await of_the_last(owner_pool, clinic)
    assert (quiet.tier, quiet.numbers["next_infusion_on"]) == (None, (TODAY + ONE_DAY).isoformat())

    later = NOW + ONE_DAY
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        course = (await courses.of(db, client_id))[0]
        assert await infusions.cancel_from(
            db, course.course_id, since=NOW, reason=ChangeReason.ILLNESS, by=None, now=later
        )
        await day_close.mark_due(db, now=later)
    await folded(jobs_pool, clinic, client_id, now=later)
    told = await of_the_last(owner_pool, clinic)
    assert [each.tier for each in told] == [None, Tier.REVIEW]
    assert (told[0], told[1].numbers["next_infusion_on"]) == (quiet, None)
    assert told[1].client_day > quiet.client_day + ONE_DAY, "a day lies between on which it was still booked"

    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await fold_queue.mark_due(db, client_id, from_day=quiet.client_day - ONE_DAY, now=later)
    counts = await folded(jobs_pool, clinic, client_id, now=later)
    assert (counts.opened, counts.joined, counts.withdrawn) == (0, 0, 0)
    assert await of_the_last(owner_pool, clinic) == told
