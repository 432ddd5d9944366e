"""Somebody with two roles: each role reaches as far as it does alone, over each client by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import UUID

import httpx

from schemas.alert import Outcome
from schemas.staff import Role
from service import database, ids
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.people import clients
from tests.builders import MASTER, a_client, a_clinic, an_answer
from tests.desk import SignedInAs, a_person, a_session, an_alert
from tests.web import serving

CLINICAL = (Role.THERAPIST, Role.PRESCRIBER, Role.NURSE)
PAIRS = list(combinations(Role, 2))
NOTE = "Walked away."
SEND_TO = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state, due_at, created_at
)
values ($1, $2, 'alert', $3, 'email', $4, 9, 0, 'sent', $5, $5)
"""


async def somebody_brought_to(db: Db, roles: tuple[Role, Role], alert_ids: list[UUID]) -> SignedInAs:
    """A person with both roles, to whom the ladder brought these alerts."""
    person = await a_person(db, roles=roles, email=f"{ids.new()}@clinic.example")
    for alert_id in alert_ids:
        await db.execute(SEND_TO, db.clinic_id, ids.new(), alert_id, person, datetime.now(UTC))
    return await a_session(db, person)


async def test_of_an_alert_brought_to_a_pair_of_roles_the_findings_show_only_for_clients_of_theirs(
    settings: Config, owner_pool: Pool
) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        own, other = await a_client(db, given_name="Own"), await a_client(db, given_name="Other")
        # Somebody treats them, so that the ladder brings their alerts to nobody else by itself.
        treating = await a_person(db, email="treating@clinic.example")
        for client_id in (own, other):
            await clients.assign(db, client_id, treating, Role.THERAPIST, from_at=now - timedelta(days=9))
            closed = await an_alert(db, client_id, now=now - timedelta(days=3))
            await alerts.resolve(db, closed, Outcome.CALLED, by=treating, now=now)
        everything = [*await alert_ids_of(db), await an_alert(db, own), await an_alert(db, other)]
        people = {pair: await somebody_brought_to(db, pair, everything) for pair in PAIRS}
        for pair, person in people.items():
            role = next((role for role in pair if role in CLINICAL), None)
            if role is not None:
                await clients.assign(db, own, person.staff_id, role, from_at=now - timedelta(days=1))
    wrong = []
    async with serving(settings) as http:
        for pair, person in people.items():
            seen = await reasons_seen(http, person)
            everybody, team = Role.COORDINATOR in pair, bool(set(pair) & set(CLINICAL))
            routed = Role.ADMIN in pair
            expected = {
                "Own": everybody or team if everybody or team or routed else None,
                "Other": everybody if everybody or routed else None,
            }
            wrong += [f"{pair} {name}: {shown}" for name, shown in seen if shown is not expected[name]]
    assert wrong == []


async def alert_ids_of(db: Db) -> list[UUID]:
    rows = await db.connection.fetch("select alert_id from alert where clinic_id = $1", db.clinic_id)
    return [row["alert_id"] for row in rows]


async def reasons_seen(http: httpx.AsyncClient, person: SignedInAs) -> list[tuple[str, bool | None]]:
    """Of both clients, in the inbox, its history and the API: whether reasons show; None: the alert is not there."""
    seen: list[tuple[str, bool | None]] = []
    for address in ("/inbox", "/inbox/history"):
        page = (await http.get(address, headers=person.bearer)).text
        lines = {name: line for line in page.split("<li")[1:] for name in ("Own", "Other") if f"{name} Marlow" in line}
        seen += [(name, "above usual" in lines[name] if name in lines else None) for name in ("Own", "Other")]
    for closed in ("false", "true"):
        reply = await http.get(f"/v1/alerts?closed={closed}", headers=person.bearer)
        items = {item["client"].split()[0]: item for item in reply.json().get("items", [])}
        seen += [(name, bool(items[name]["reasons"]) if name in items else None) for name in ("Own", "Other")]
    return seen


async def test_a_coordinator_who_also_treats_reads_the_notes_of_their_own_clients_only(
    settings: Config, owner_pool: Pool
) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_person(db, roles=[Role.COORDINATOR, Role.THERAPIST])
        own, other = await a_client(db), await a_client(db)
        await clients.assign(db, own, person, Role.THERAPIST, from_at=now - timedelta(days=9))
        for client_id in (own, other):
            answer = await an_answer(db, client_id, now.date() - timedelta(days=1))
            sealer = await clients.sealer_of(db, MASTER, client_id)
            sealed = sealer.seal(NOTE.encode(), bound_to=f"check_in:{db.clinic_id}:{answer}:note")
            await db.execute("update check_in set note_sealed = $2 where check_in_id = $1", answer, sealed)
        session = await a_session(db, person)
    async with serving(settings) as http:
        pages = [(await http.get(f"/clients/{client_id}", headers=session.bearer)).text for client_id in (own, other)]
    assert [NOTE in page for page in pages] == [True, False]
    assert "Notes are for the care team." in pages[1]
