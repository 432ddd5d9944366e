"""What a client said about recipients outside the clinic: the care team records it, privacy officers read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import asyncpg
import httpx
import pytest

from schemas.clinic import Clinic
from schemas.course import PauseReason
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Db, Pool
from service.facts import pauses
from service.people import clients, consents, webhook_endpoints
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session, an_alert
from tests.web import serving

HOUR = timedelta(hours=1)
SECTION = "Recipients outside the clinic"


class Practice(NamedTuple):
    """A client, the therapist who treats them and a privacy officer, over HTTP."""

    http: httpx.AsyncClient
    owner: Pool
    clinic: Clinic
    client_id: UUID
    therapist: SignedInAs
    officer: SignedInAs
    coordinator: SignedInAs

    @property
    def address(self) -> str:
        return f"/v1/clients/{self.client_id}/consents"

    async def page(self, who: SignedInAs) -> str:
        reply = await self.http.get(f"/clients/{self.client_id}/manage", headers=who.bearer)
        assert reply.status_code == 200
        return reply.text

    async def say(self, given: str) -> httpx.Response:
        form = {"given": given, "csrf_token": self.therapist.csrf_token}
        address = f"/clients/{self.client_id}/consents"
        return await self.http.post(address, data=form, headers=self.therapist.cookie)


@pytest.fixture
async def practice(settings: Config, owner_pool: Pool) -> AsyncIterator[Practice]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id, person = await a_client(db), await a_person(db, name="Maren Holt")
        await clients.assign(db, client_id, person, Role.THERAPIST, from_at=datetime.now(UTC) - HOUR)
        therapist = await a_session(db, person)
        officer = await a_session(db, await a_person(db, Role.PRIVACY_OFFICER))
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
    async with serving(settings) as http:
        yield Practice(http, owner_pool, clinic, client_id, therapist, officer, coordinator)


@pytest.fixture
async def db(owner_pool: Pool, web_pool: Pool) -> AsyncIterator[Db]:
    async with database.transaction(web_pool, (await a_clinic(owner_pool)).clinic_id) as opened:
        yield opened


async def test_the_newest_word_counts_and_none_is_not_given(db: Db) -> None:
    client_id, other, by = await a_client(db), await a_client(db, given_name="Per"), await a_person(db)
    assert await consents.given_now(db, client_id) is False
    for hours, given in enumerate([True, False, True]):
        await consents.record(db, client_id, given=given, by=by, now=NOW + hours * HOUR)
        assert await consents.given_now(db, client_id) is given
    said = await consents.history(db, client_id)
    assert [(each.given, each.recorded_at, each.recorded_by_name) for each in said] == [
        (given, NOW + hours * HOUR, "Maren Holt") for hours, given in ((2, True), (1, False), (0, True))
    ]
    assert await consents.given_now(db, other) is False
    assert await consents.history(db, other) == []


async def test_of_two_words_at_one_instant_the_later_one_counts(db: Db) -> None:
    client_id, by = await a_client(db), await a_person(db)
    for given in (True, False):
        await consents.record(db, client_id, given=given, by=by, now=NOW)
    assert await consents.given_now(db, client_id) is False


async def test_a_pause_changes_nothing_of_it(db: Db) -> None:
    client_id, by = await a_client(db), await a_person(db)
    await consents.record(db, client_id, given=True, by=by, now=NOW)
    day = NOW.date()
    await pauses.begin(db, client_id, from_on=day, until_on=None, reason=PauseReason.INPATIENT, by=by, now=NOW)
    assert await consents.given_now(db, client_id)


async def test_a_client_of_another_clinic_has_no_say_here(owner_pool: Pool, web_pool: Pool, jobs_pool: Pool) -> None:
    here, there = await a_clinic(owner_pool), await a_clinic(owner_pool, slug="lakeside")
    async with database.transaction(web_pool, there.clinic_id) as db:
        theirs = await a_client(db)
        await consents.record(db, theirs, given=True, by=await a_person(db), now=NOW)
    for pool in (web_pool, jobs_pool):
        async with database.transaction(pool, here.clinic_id) as db:
            assert await consents.given_now(db, theirs) is False
            assert await consents.history(db, theirs) == []
        async with database.transaction(pool, there.clinic_id) as db:
            assert await consents.given_now(db, theirs)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with database.transaction(web_pool, here.clinic_id) as db:
            await consents.record(db, theirs, given=True, by=await a_person(db), now=NOW)


async def test_the_care_team_records_it_and_a_privacy_officer_reads_it(practice: Practice) -> None:
    http, address, own = practice.http, practice.address, practice.therapist.bearer
    assert (await http.get(address, headers=own)).json() == {"given": False, "items": []}
    for given in (True, False):
        reply = await http.post(address, json={"given": given}, headers=own)
        assert (reply.status_code, reply.json()["given"]) == (201, given)
    read = await http.get(address, headers=practice.officer.bearer)
    assert [each["given"] for each in read.json()["items"]] == [False, True]
    assert {each["recorded_by"] for each in read.json()["items"]} == {str(practice.therapist.staff_id)}
    assert (await http.post(address, json={"given": True}, headers=practice.officer.bearer)).status_code == 404
    for body in ({}, {"given": "true"}, {"given": 1}, {"given": None}, {"given": True, "why": "asked"}):
        assert (await http.post(address, json=body, headers=own)).status_code == 400, body
    async with database.transaction(practice.owner, practice.clinic.clinic_id) as db:
        assert len(await consents.history(db, practice.client_id)) == 2


AUDITED = """
select action, actor_id, object_id
from audit_event
where clinic_id = $1
  and client_id = $2
  and action like 'consent.%'
order by audit_event_id
"""


async def test_what_is_recorded_and_who_read_it_stands_in_the_audit_trail(practice: Practice) -> None:
    await practice.http.post(practice.address, json={"given": True}, headers=practice.therapist.bearer)
    await practice.say("no")
    await practice.http.get(practice.address, headers=practice.officer.bearer)
    async with database.transaction(practice.owner, practice.clinic.clinic_id) as db:
        rows = await db.connection.fetch(AUDITED, db.clinic_id, practice.client_id)
        newest, first = await consents.history(db, practice.client_id)
    by, officer = practice.therapist.staff_id, practice.officer.staff_id
    assert [tuple(row) for row in rows] == [
        ("consent.record", by, first.consent_id),
        ("consent.record", by, newest.consent_id),
        ("consent.read", officer, None),
    ]


async def test_the_clients_page_says_what_was_said_when_and_by_whom_and_offers_the_other(practice: Practice) -> None:
    page = await practice.page(practice.therapist)
    assert SECTION in page
    assert "Nothing was said yet" in page
    assert ("Record: consented" in page, "Record: not consented" in page) == (True, True)
    assert (await practice.say("yes")).status_code == 303
    page = await practice.page(practice.therapist)
    assert "Consented: they may be told" in page
    assert "recorded by Maren Holt" in page
    assert ("Record: consented" in page, "Record: withdrawn" in page) == (False, True)
    assert (await practice.say("no")).status_code == 303
    page = await practice.page(practice.therapist)
    assert page.index("Not consented: they are told nothing") < page.index("Consented: they may be told")
    assert ("Record: consented" in page, "Record: withdrawn" in page) == (True, False)
    assert (await practice.say("perhaps")).status_code == 400
    assert (await practice.say("")).status_code == 400


async def test_whoever_sees_the_client_but_is_not_on_the_care_team_is_shown_nothing_of_it(practice: Practice) -> None:
    await practice.say("yes")
    assert SECTION not in await practice.page(practice.coordinator)
    for method in ("GET", "POST"):
        body = {"given": True} if method == "POST" else None
        reply = await practice.http.request(method, practice.address, json=body, headers=practice.coordinator.bearer)
        assert reply.status_code == 404


WITHHOLD = """
update delivery
set state = 'blocked',
    problem = $2,
    settled_at = now()
where clinic_id = $1
  and webhook_endpoint_id is not null
"""


async def test_what_is_withheld_is_shown_on_the_alert_as_such_and_has_not_failed(practice: Practice) -> None:
    async with database.transaction(practice.owner, practice.clinic.clinic_id) as db:
        await webhook_endpoints.add(db, MASTER, "https://elsewhere.example/", outside=True, now=NOW)
        alert_id = await an_alert(db, practice.client_id)
        await db.execute(WITHHOLD, db.clinic_id, consents.NOT_GIVEN)
    http, who = practice.http, practice.therapist.bearer
    page = (await http.get(f"/alerts/{alert_id}", headers=who)).text
    assert f"withheld: {consents.NOT_GIVEN}" in page
    assert "not delivered" not in (await http.get("/inbox", headers=who)).text
    lines = (await http.get(f"/v1/alerts/{alert_id}/deliveries", headers=who)).json()["items"]
    told = [(each["state"], each["problem"]) for each in lines if each["to"] == "webhook"]
    assert told == [("blocked", consents.NOT_GIVEN)]
    async with database.transaction(practice.owner, practice.clinic.clinic_id) as db:
        await db.execute(WITHHOLD, db.clinic_id, "the endpoint is disabled")
    assert "1 not delivered" in (await http.get("/inbox", headers=who)).text
