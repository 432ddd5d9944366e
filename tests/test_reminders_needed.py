"""On which days there is something to remind of: the check-in, a questionnaire that is new; never after the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobs.work import Tools
from schemas.clinic import Clinic
from schemas.course import DischargeReason
from service import database, instrument_log
from service.database import Pool
from service.facts import courses
from tests.builders import NOW, a_client, a_phone, an_answer
from tests.reminding import CHICAGO, DAY, DUE_AT, HOUR, a_reminded_client, choose, clinic, counted, run, service, tools
from tests.sinks import MailSink

__all__ = ["clinic", "service", "tools"]

EMAIL = "someone@x.example"
A_DAY = timedelta(days=1)
WEEKS = 3


async def test_a_client_who_answers_each_day_is_told_of_a_questionnaire_on_its_first_day_only(
    owner_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=EMAIL)
    reminded, first_days = [], set()
    for day in (DAY + each * A_DAY for each in range(7 * WEEKS)):
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            await an_answer(db, client_id, day)
            due = instrument_log.due_of(await instrument_log.read(db, client_id), day)
        assert due, "no questionnaire is ever answered: one waits on each day"
        first_days |= {each.since for each in due if each.since >= DAY}
        if (await run(tools, at=datetime.combine(day, HOUR, CHICAGO).astimezone(UTC)))["sent"]:
            reminded.append(day)
    assert reminded == sorted(first_days)
    assert 0 < len(reminded) <= 2 * WEEKS


async def test_a_day_that_is_answered_has_no_reminder_and_the_next_one_has(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=EMAIL)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute("delete from instrument_schedule where clinic_id = $1", db.clinic_id)
        await an_answer(db, client_id, DAY)
    assert await run(tools) == counted(not_needed=1)
    assert mail.messages == []
    assert await run(tools, at=DUE_AT + A_DAY) == counted(sent=1)


@pytest.mark.parametrize("reason", DischargeReason)
async def test_nobody_is_reminded_from_the_moment_a_discharge_is_noted(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, reason: DischargeReason
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=EMAIL)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        [course] = await courses.of(db, client_id)
        await courses.end(db, course.course_id, ended_on=DAY, reason=reason, now=DUE_AT - timedelta(hours=5))
    for days in range(3):
        assert await run(tools, at=DUE_AT + days * A_DAY) == counted(not_needed=1)
    assert mail.messages == []


async def test_nobody_is_reminded_before_the_course_begins(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, now=NOW, started_on=DAY + A_DAY)
        await a_phone(db, client_id, now=NOW)
        await choose(db, client_id, HOUR, email=EMAIL, now=DUE_AT - timedelta(hours=1))
    assert await run(tools) == counted(not_needed=1)
    assert await run(tools, at=DUE_AT + A_DAY) == counted(sent=1)
    assert len(mail.messages) == 1
