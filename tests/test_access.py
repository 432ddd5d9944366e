"""Who may come where: every route × every role × on the care team or not, generated from the one table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from schemas.alert import Channel, Outcome, Rule, Tier
from schemas.clinic import Clinic
from schemas.course import PauseReason
from schemas.rota import CoverForm, ShiftForm
from schemas.service_account import ServiceScope
from schemas.staff import LinkPurpose, Role
from service import app, database, ids
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.desk import first_steps
from service.facts import pauses
from service.keys import tokens
from service.people import (
    access,
    calendar_feeds,
    clients,
    covers,
    one_time_links,
    service_accounts,
    shifts,
    staff_addresses,
    webhook_endpoints,
)
from service.people.access import Party, Permission, Scope
from tests.appointments import a_given_infusion, a_planned_infusion, a_reading, a_session_of
from tests.builders import MASTER, a_client, a_clinic, a_phone, an_answer
from tests.desk import a_person, a_session, a_trend, a_trend_day, an_alert
from tests.web import client_of, running, serving

HOUR = timedelta(hours=1)
SENT_TO_SIGN_IN = re.compile(r"^(/[^/]+)?/sign-in(\?.*)?$")
CLINICAL = {Party.THERAPIST: Role.THERAPIST, Party.PRESCRIBER: Role.PRESCRIBER, Party.NURSE: Role.NURSE}
PROGRAMS_MAY = {
    Permission.SEE_INFUSIONS,
    Permission.RECORD_INFUSIONS,
    Permission.SEE_SESSIONS,
    Permission.BOOK_SESSIONS,
    Permission.RECORD_SCREENS,
    Permission.LOOK_UP_IDS,
}
STAFF = [Party(role) for role in Role]
# Whoever is on call has a role, too: here one on nobody's care team.
ON_CALL_ROLE = Party.THERAPIST


class Route(NamedTuple):
    """One method of one path, and the permission it declares."""

    method: str
    path: str
    permission: Permission

    @property
    def about_somebody(self) -> bool:
        return any(f"{{{name}" in self.path for name in ("client_id", "alert_id", "infusion_id", "session_id"))


def routes_of(application: Litestar) -> Iterator[Route]:
    for route in application.routes:
        for handler in getattr(route, "route_handlers", ()):
            assert isinstance(handler, HTTPRouteHandler)
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                yield Route(method, route.path, handler.opt["access"])


def expected(route: Route, party: Party, *, inside: bool) -> bool:
    """What the table says of a route and a party; `inside`: on the client's care team, or sent the alert."""
    if party in access.PROGRAMS and route.permission is not Permission.COME_IN and not route.path.startswith("/v1/"):
        return Party.ANYONE in access.TABLE[route.permission]
    if party is Party.ON_CALL and expected(route, ON_CALL_ROLE, inside=False):
        return True
    row = access.TABLE[route.permission]
    if Party.ANYONE in row:
        return True
    scope = row.get(party)
    if scope in (Scope.CARE_TEAM, Scope.ROUTED):
        return inside or not route.about_somebody
    return scope is not None


class House(NamedTuple):
    """A clinic with a client whom everybody knows, one whom nobody knows, and a person for each role."""

    clinic: Clinic
    people: dict[Party, UUID]
    known: UUID
    unknown: UUID
    known_alert: UUID
    unknown_alert: UUID


SEND_TO = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state, due_at, created_at
)
values ($1, $2, 'alert', $3, 'email', $4, 9, 0, 'sent', $5, $5)
"""


async def a_house(owner: Pool) -> House:
    clinic, now = await a_clinic(owner), datetime.now(UTC)
    async with database.transaction(owner, clinic.clinic_id) as db:
        people = {party: await a_person(db, Role(party)) for party in STAFF}
        known, unknown = await a_client(db), await a_client(db, given_name="Nobody's")
        for client_id in (known, unknown):
            await a_trend(db, client_id, [a_trend_day(now.date() - timedelta(days=3 - day)) for day in range(3)])
            await a_given_infusion(db, client_id, hours_ago=72)
            await an_answer(db, client_id, now.date() - timedelta(days=2))
        people[Party.ON_CALL] = await a_person(db, Role(ON_CALL_ROLE), email="on-call@clinic.example")
        shift = ShiftForm(staff_id=people[Party.ON_CALL], from_at=now - HOUR, until_at=now + HOUR)
        await shifts.give(db, ids.new(), shift, zone=ZoneInfo("UTC"), by=people[Party.ADMIN], now=now)
        for party, role in CLINICAL.items():
            await clients.assign(db, known, people[party], role, from_at=now - timedelta(days=9))
        # Somebody treats the other client, so that the ladder does not bring that alert to everybody.
        await clients.assign(db, unknown, await a_person(db, email="other@clinic.example"), Role.THERAPIST, from_at=now)
        house = House(clinic, people, known, unknown, await an_alert(db, known), await an_alert(db, unknown))
        await db.execute(SEND_TO, db.clinic_id, ids.new(), house.known_alert, people[Party.ADMIN], now)
    return house


async def rota_values(db: Db, house: House, route: Route, party: Party) -> dict[str, object]:
    """A shift and a cover of the party's own; to be ended, they are there."""
    now, shift_id, cover_id = datetime.now(UTC), ids.new(), ids.new()
    away = house.people.get(party, house.people[Party.NURSE])
    if route.path.endswith("/end") and "{shift_id" in route.path:
        stands_by = await a_person(db, email=f"{shift_id}@clinic.example")
        shift = ShiftForm(staff_id=stands_by, from_at=now, until_at=now + HOUR)
        await shifts.give(db, shift_id, shift, zone=ZoneInfo("UTC"), by=house.people[Party.ADMIN], now=now)
    elif route.path.endswith("/end"):
        stands_in = await a_person(db, email=f"{cover_id}@clinic.example")
        cover = CoverForm(staff_id=away, covered_by=stands_in, from_at=now, until_at=now + HOUR)
        await db.execute("delete from cover where staff_id = $1", away)
        await covers.arrange(db, cover_id, cover, by=away, now=now)
    return {"shift_id": shift_id, "cover_id": cover_id}


async def address_of(db: Db, house: House, route: Route, *, inside: bool, party: Party = Party.ADMIN) -> str:
    """The route's path about the client inside or outside, with everything else that it names there and fit."""
    client_id, now = house.known if inside else house.unknown, datetime.now(UTC)
    values: dict[str, object] = {
        "client_id": client_id,
        "alert_id": house.known_alert if inside else house.unknown_alert,
        "slug": house.clinic.slug,
        "name": "desk.css",
        "kind": "conflict",
        "check_in_id": ids.new(),
        "schedule_id": ids.new(),
        "course_id": ids.new(),
        "response_id": ids.new(),
        "code": "phq9",
        "screen_id": ids.new(),
    }
    if "{pause_id" in route.path:
        day = now.date()
        standing = await pauses.of(db, client_id)
        began = standing or [
            await pauses.begin(db, client_id, from_on=day, until_on=day, reason=PauseReason.TRAVEL, by=None, now=now)
        ]
        values["pause_id"] = began[0].pause_id
    if "{staff_id" in route.path:
        values["staff_id"] = person = await a_person(db, email=f"{ids.new()}@clinic.example")
        await clients.assign(db, client_id, person, Role.THERAPIST, from_at=datetime.now(UTC) - timedelta(hours=1))
        if route.path.endswith("/enable"):
            await db.execute("update staff set disabled_at = now() where staff_id = $1", person)
    if "{infusion_id" in route.path:
        values["infusion_id"] = infusion_id = await a_planned_infusion(db, client_id)
        values["record_id"] = ids.new()
        if "{record_id" in route.path:
            values["record_id"] = await a_reading(db, client_id, infusion_id, by=house.people[Party.NURSE])
    if "{shift_id" in route.path or "{cover_id" in route.path:
        values |= await rota_values(db, house, route, party)
    if "{session_id" in route.path:
        values["session_id"] = await a_session_of(db, client_id)
    if "{device_id" in route.path:
        values["device_id"] = (await a_phone(db, client_id, now=datetime.now(UTC))).device_id
    if "{account_id" in route.path:
        by = house.people[Party.ADMIN]
        values["account_id"], _ = await service_accounts.add(db, "Records", list(ServiceScope), by=by, now=now)
    if "{endpoint_id" in route.path:
        added = await webhook_endpoints.add(db, MASTER, "https://elsewhere.example/", now=datetime.now(UTC))
        values["endpoint_id"] = added[0]
    values["delivery_id"] = ids.new()  # somebody else's leads nowhere special
    values["step"] = first_steps.Step.HOURS
    if "{subscription_id" in route.path and party in house.people:
        address = str(ids.new())
        values["subscription_id"], _ = await staff_addresses.add(
            db, MASTER, house.people[party], Channel.PUSH, address, known_by=address, label="A browser", now=now
        )
    elif "{subscription_id" in route.path:
        values["subscription_id"] = ids.new()
    if "{token" in route.path:
        return await token_address(db, house, route, values)
    return filled_in(route, values)


async def token_address(db: Db, house: House, route: Route, values: dict[str, object]) -> str:
    """The address of a link or a calendar, with a token that is good."""
    person = house.people[Party.THERAPIST]
    if route.path.startswith("/reminders"):
        return filled_in(route, {**values, "token": tokens.text_of("stop", db.clinic_id, bytes(32))})
    if route.path.startswith("/calendar"):
        return await calendar_feeds.issue(db, staff_id=person, by=person, now=datetime.now(UTC))
    link = await one_time_links.issue(db, person, LinkPurpose.DEMO_SIGN_IN, now=datetime.now(UTC))
    return filled_in(route, {**values, "token": link.rpartition("/")[2]})


def filled_in(route: Route, values: dict[str, object]) -> str:
    return re.sub(r"\{(\w+):\w+\}", lambda name: str(values[name[1]]), route.path)


async def credential_of(db: Db, house: House, party: Party) -> dict[str, str]:
    if party is Party.ANYONE:
        return {}
    if party is Party.CLIENT:
        return (await a_phone(db, house.known, now=datetime.now(UTC))).headers
    if party in access.PROGRAMS:
        scope = next(scope for scope, comes_as in access.PARTY_OF_SCOPE.items() if comes_as is party)
        _, token = await service_accounts.add(
            db, "Records", [scope], by=house.people[Party.ADMIN], now=datetime.now(UTC)
        )
        return {"Authorization": f"Bearer {token}"}
    return (await a_session(db, house.people[party])).bearer


def was_let_in(route: Route, reply: httpx.Response) -> bool:
    """Past the door: refused for what was sent, perhaps, but not for who sent it."""
    if route.permission is Permission.COME_IN and reply.status_code in (303, 401):
        return True  # an open door: it leads on to signing in, or a credential is given there, and this one was wrong
    signed_out = "clear-site-data" in reply.headers
    turned_away = SENT_TO_SIGN_IN.match(reply.headers.get("location", "")) and not signed_out
    return reply.status_code not in (401, 403, 404) and not turned_away


@pytest.mark.parametrize("party", [*STAFF, Party.ON_CALL, *sorted(access.PROGRAMS), Party.CLIENT, Party.ANYONE])
async def test_every_route_lets_in_whom_the_table_says_and_nobody_else(
    settings: Config, owner_pool: Pool, tmp_path: Path, party: Party
) -> None:
    house = await a_house(owner_pool)
    # With one connection, a request that held it while it waits for a second would never be answered.
    demonstration = msgspec.structs.replace(settings, demo=True, demo_mail_dir=tmp_path, web_pool_size=1)
    wrong = []
    async with running(demonstration) as application, client_of(application) as http:
        application.state.services.stopping.set()  # so that a stream ends as soon as it has begun
        for route in routes_of(application):
            for inside in (True, False) if route.about_somebody else (True,):
                async with database.transaction(owner_pool, house.clinic.clinic_id) as db:
                    address = await address_of(db, house, route, inside=inside, party=party)
                    headers = await credential_of(db, house, party)
                body = b"{}" if route.path.startswith("/v1") and route.method != "GET" else None
                reply = await http.request(route.method, address, headers=headers, content=body)
                if was_let_in(route, reply) != expected(route, party, inside=inside):
                    wrong.append(f"{route.method} {route.path} inside={inside}: {reply.status_code}")
                # No jobs process runs here, and that is what this address says.
                broken = reply.status_code >= 500 and route.path != "/health/deadman"
                assert not broken, f"{route.method} {address}: {reply.text}"
    assert wrong == []


def test_every_permission_has_its_row_and_every_row_is_used_or_left_room_for(settings: Config) -> None:
    assert set(access.TABLE) == set(Permission)
    used = {route.permission for route in routes_of(app.create(settings))}
    within_pages = {Permission.SEE_NOTES, Permission.SEE_ALERT_FINDINGS}
    left_room_for = {Permission.SEE_AUDIT}
    assert set(Permission) - used == within_pages | left_room_for


def test_the_table_says_what_the_design_says() -> None:
    def whoever(permission: Permission) -> dict[Party, Scope]:
        return dict(access.TABLE[permission])

    team = dict.fromkeys(CLINICAL, Scope.CARE_TEAM)
    assert whoever(Permission.SEE_NOTES) == team
    whole_clinic = {Party.COORDINATOR: Scope.CLINIC, Party.ON_CALL: Scope.CLINIC}
    for permission in Permission:  # a program reads no answers, scores or notes, and decides nothing
        assert not access.PROGRAMS & set(whoever(permission)) or permission in PROGRAMS_MAY
    assert whoever(Permission.SEE_CLIENTS) == team | whole_clinic
    assert whoever(Permission.SEE_CONSENTS) == team | {Party.PRIVACY_OFFICER: Scope.CLINIC}
    assert whoever(Permission.RECORD_CONSENTS) == team
    assert whoever(Permission.SEE_ALERTS) == team | whole_clinic | {Party.ADMIN: Scope.ROUTED}
    assert whoever(Permission.MANAGE_STAFF) == {Party.ADMIN: Scope.CLINIC}
    assert whoever(Permission.SEE_AUDIT) == {Party.PRIVACY_OFFICER: Scope.CLINIC}
    assert whoever(Permission.ANSWER_CHECK_INS) == {Party.CLIENT: Scope.OWN}


async def test_a_denied_look_stands_in_the_audit_trail_although_it_was_refused(
    settings: Config, owner_pool: Pool
) -> None:
    house = await a_house(owner_pool)
    therapist = house.people[Party.THERAPIST]
    async with database.transaction(owner_pool, house.clinic.clinic_id) as db:
        session = await a_session(db, therapist)
    async with serving(settings) as http:
        for address in (f"/clients/{house.unknown}", f"/v1/clients/{house.unknown}", "/staff"):
            assert (await http.get(address, headers=session.bearer)).status_code == 404
    async with database.transaction(owner_pool, house.clinic.clinic_id) as db:
        rows = await db.connection.fetch(
            "select actor_id, object_id, reason from audit_event where action = 'access.denied' and not allowed"
            " order by happened_at"
        )
    assert [tuple(row) for row in rows] == [
        (therapist, house.unknown, "see_clients"),
        (therapist, house.unknown, "see_clients"),
        (therapist, None, "manage_staff"),
    ]


async def test_whoever_left_the_care_team_or_has_not_joined_yet_finds_nobody(web_pool: Pool, owner_pool: Pool) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        person = await a_person(db)
        left, joining, present = [await a_client(db) for _ in range(3)]
        day = timedelta(days=1)
        await clients.assign(db, left, person, Role.THERAPIST, from_at=now - 3 * day, until_at=now - day)
        await clients.assign(db, joining, person, Role.THERAPIST, from_at=now + day)
        await clients.assign(db, present, person, Role.THERAPIST, from_at=now - day, until_at=now + day)
        who = access.reach(person, [Role.THERAPIST], Permission.SEE_CLIENTS)
        assert await access.visible_clients(db, who, now=now) == [present]


async def test_roles_add_up_and_a_membership_counts_only_for_roles_that_have_it(
    web_pool: Pool, owner_pool: Pool
) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        person, client_id = await a_person(db, roles=[Role.ADMIN, Role.NURSE]), await a_client(db)
        await clients.assign(db, client_id, person, Role.NURSE, from_at=now)
        for roles, seen in (([Role.ADMIN], False), ([Role.ADMIN, Role.NURSE], True), ([Role.COORDINATOR], True)):
            who = access.reach(person, roles, Permission.SEE_ALERTS)
            assert await access.covers_client(db, who, client_id, now=now) is seen


async def texts_of(settings: Config, session_headers: dict[str, str], addresses: Sequence[str]) -> list[str]:
    async with serving(settings) as http:
        replies = [await http.get(address, headers=session_headers) for address in addresses]
    assert all(reply.status_code == 200 for reply in replies), [reply.status_code for reply in replies]
    return [reply.text for reply in replies]


async def test_notes_are_read_on_the_care_team_only(settings: Config, owner_pool: Pool) -> None:
    house = await a_house(owner_pool)
    async with database.transaction(owner_pool, house.clinic.clinic_id) as db:
        sealer = await clients.sealer_of(db, MASTER, house.known)
        by = house.people[Party.NURSE]
        await alerts.note(db, house.known_alert, "Shook for an hour.", by=by, now=datetime.now(UTC), sealer=sealer)
        nurse = await a_session(db, by)
        coordinator = await a_session(db, house.people[Party.COORDINATOR])
    address = [f"/alerts/{house.known_alert}"]
    assert "Shook for an hour." in (await texts_of(settings, nurse.bearer, address))[0]
    seen_by_coordinator = (await texts_of(settings, coordinator.bearer, address))[0]
    assert "Shook for an hour." not in seen_by_coordinator
    assert "Craving 2.1 points above usual" in seen_by_coordinator


async def test_an_admin_reads_of_a_routed_alert_who_and_when_but_neither_scores_nor_reasons(
    settings: Config, owner_pool: Pool
) -> None:
    house = await a_house(owner_pool)
    async with database.transaction(owner_pool, house.clinic.clinic_id) as db:
        admin = await a_session(db, house.people[Party.ADMIN])
        await an_alert(db, house.known, Rule.SAFETY, Tier.URGENT)
    page, inbox, api = await texts_of(settings, admin.bearer, [f"/alerts/{house.known_alert}", "/inbox", "/v1/alerts"])
    for text in (page, inbox, api):
        assert "Ines" in text
        assert "raving" not in text
        assert "afety question" not in text
        assert "Nobody" not in text.replace("Nobody here exists", "").replace("nobody", "")
    assert "Who was told" in page
    assert '"reasons":null' in api


async def test_an_admin_does_not_read_what_came_of_a_routed_alert(settings: Config, owner_pool: Pool) -> None:
    house = await a_house(owner_pool)
    async with database.transaction(owner_pool, house.clinic.clinic_id) as db:
        admin = await a_session(db, house.people[Party.ADMIN])
        by = house.people[Party.THERAPIST]
        await alerts.resolve(db, house.known_alert, Outcome.SAFETY_PLAN, by=by, now=datetime.now(UTC))
        assigned = await a_session(db, by)
    paths = [f"/alerts/{house.known_alert}", "/inbox/history", "/v1/alerts?closed=true"]
    for session, reads in ((admin, False), (assigned, True)):
        for text in await texts_of(settings, session.bearer, paths):
            assert ("Ines" in text, bool(re.search("safety.plan", text))) == (True, reads)
