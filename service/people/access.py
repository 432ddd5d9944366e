"""Who sees what: the one table of permission × role → scope, and the clients a person may see through it.

Every route names its permission; "all" on a page means all that the table and the care teams let this person see, and
what they may not see is not found, never forbidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

import msgspec

from schemas.service_account import ServiceScope
from service import errors
from service.database import Db


class Party(StrEnum):
    """Whoever may come to a route: a role of the staff, whoever is on call, a client's phone, a program, or anybody."""

    THERAPIST = "therapist"
    PRESCRIBER = "prescriber"
    NURSE = "nurse"
    COORDINATOR = "coordinator"
    PRIVACY_OFFICER = "privacy_officer"
    ADMIN = "admin"
    ON_CALL = "on_call"
    CLIENT = "client"
    INFUSIONS_PROGRAM = "infusions_program"
    SESSIONS_PROGRAM = "sessions_program"
    SCREENS_PROGRAM = "screens_program"
    DIRECTORY_PROGRAM = "directory_program"
    ANYONE = "anyone"


PARTY_OF_SCOPE: Mapping[ServiceScope, Party] = MappingProxyType(
    {
        ServiceScope.INFUSIONS: Party.INFUSIONS_PROGRAM,
        ServiceScope.SESSIONS: Party.SESSIONS_PROGRAM,
        ServiceScope.SCREENS: Party.SCREENS_PROGRAM,
        ServiceScope.DIRECTORY: Party.DIRECTORY_PROGRAM,
    }
)
"""As whom a service account comes that has this scope; what it may do then stands in the one table."""
PROGRAMS = frozenset(PARTY_OF_SCOPE.values())


class Permission(StrEnum):
    """What a route lets somebody do; each route declares exactly one."""

    COME_IN = "come_in"
    FINISH_SIGN_IN = "finish_sign_in"
    USE_OWN_ACCOUNT = "use_own_account"
    ANSWER_CHECK_INS = "answer_check_ins"
    SEE_CLIENTS = "see_clients"
    SEE_NOTES = "see_notes"
    SEE_ALERTS = "see_alerts"
    SEE_ALERT_FINDINGS = "see_alert_findings"
    ACKNOWLEDGE_ALERTS = "acknowledge_alerts"
    RESOLVE_ALERTS = "resolve_alerts"
    SEE_QUALITY = "see_quality"
    SEE_RULES = "see_rules"
    MANAGE_RULES = "manage_rules"
    EXPORT_CLIENTS = "export_clients"
    SEE_CONSENTS = "see_consents"
    RECORD_CONSENTS = "record_consents"
    SEE_GATES = "see_gates"
    RECORD_GATES = "record_gates"
    RECORD_SCREENS = "record_screens"
    OVERRIDE_GATES = "override_gates"
    SEE_SESSIONS = "see_sessions"
    BOOK_SESSIONS = "book_sessions"
    MANAGE_CLIENTS = "manage_clients"
    MANAGE_TREATMENT = "manage_treatment"
    SEE_INFUSIONS = "see_infusions"
    LOOK_UP_IDS = "look_up_ids"
    RECORD_INFUSIONS = "record_infusions"
    SEE_ROTA = "see_rota"
    MANAGE_ROTA = "manage_rota"
    MANAGE_STAFF = "manage_staff"
    MANAGE_SETTINGS = "manage_settings"
    SEE_OPERATIONS = "see_operations"
    SEE_AUDIT = "see_audit"
    SEE_DEMO_MAIL = "see_demo_mail"


class Scope(StrEnum):
    """Whose data a permission reaches."""

    ANYTHING = "anything"  # needs no identity
    OWN = "own"  # one's own account, or the client's own data
    CARE_TEAM = "care_team"  # clients on whose care team the person is now, or whom they cover for a colleague
    ROUTED = "routed"  # alerts that the ladder has brought to the person; what they took on is not sent any more
    CLINIC = "clinic"  # everything in the clinic


_CLINICAL = (Party.THERAPIST, Party.PRESCRIBER, Party.NURSE)
_STAFF = (*_CLINICAL, Party.COORDINATOR, Party.PRIVACY_OFFICER, Party.ADMIN)


def _each(parties: Iterable[Party], scope: Scope) -> dict[Party, Scope]:
    return dict.fromkeys(parties, scope)


_WITH_CARE_TEAM_OR_CLINIC = {**_each(_CLINICAL, Scope.CARE_TEAM), Party.COORDINATOR: Scope.CLINIC}
# Whoever is on call has all clients' status, scores and alerts, and no notes; treatment they leave to the others.
_OR_ON_CALL = {**_WITH_CARE_TEAM_OR_CLINIC, Party.ON_CALL: Scope.CLINIC}

TABLE: Mapping[Permission, Mapping[Party, Scope]] = MappingProxyType(
    {
        Permission.COME_IN: {Party.ANYONE: Scope.ANYTHING},
        # Whoever holds a session, also one still between password and second factor.
        Permission.FINISH_SIGN_IN: _each(_STAFF, Scope.OWN),
        Permission.USE_OWN_ACCOUNT: _each(_STAFF, Scope.OWN),
        Permission.ANSWER_CHECK_INS: {Party.CLIENT: Scope.OWN},
        # Status, scores, treatment. The coordinator has all clients' status, scores and alerts, and no notes.
        Permission.SEE_CLIENTS: _OR_ON_CALL,
        Permission.SEE_NOTES: _each(_CLINICAL, Scope.CARE_TEAM),
        # Of an alert that came to them, admins see client name, tier, age and who was told, to acknowledge it.
        Permission.SEE_ALERTS: {**_OR_ON_CALL, Party.ADMIN: Scope.ROUTED},
        Permission.SEE_ALERT_FINDINGS: _OR_ON_CALL,
        Permission.ACKNOWLEDGE_ALERTS: {**_OR_ON_CALL, Party.ADMIN: Scope.ROUTED},
        Permission.RESOLVE_ALERTS: _OR_ON_CALL,
        # What the clinic's alerts were worth: counts without clients. Of the therapists' own lines each sees theirs.
        Permission.SEE_QUALITY: {
            **_each(_CLINICAL, Scope.OWN),
            **_each((Party.COORDINATOR, Party.ADMIN), Scope.CLINIC),
        },
        # How easily an alert is raised, and what another number would have done. For one client: MANAGE_TREATMENT.
        Permission.SEE_RULES: _each((*_CLINICAL, Party.COORDINATOR, Party.ADMIN), Scope.CLINIC),
        Permission.MANAGE_RULES: {Party.ADMIN: Scope.CLINIC},
        # Everything that is stored of a client in one file: for whoever may see all of it.
        Permission.EXPORT_CLIENTS: _each(_CLINICAL, Scope.CARE_TEAM),
        # What clients said about recipients outside the clinic: whoever treats them hears it.
        Permission.SEE_CONSENTS: {**_each(_CLINICAL, Scope.CARE_TEAM), Party.PRIVACY_OFFICER: Scope.CLINIC},
        Permission.RECORD_CONSENTS: _each(_CLINICAL, Scope.CARE_TEAM),
        # Screens, pressures and the list before an infusion: for whoever treats the client.
        Permission.SEE_GATES: _each(_CLINICAL, Scope.CARE_TEAM),
        Permission.RECORD_GATES: _each((Party.PRESCRIBER, Party.NURSE), Scope.CARE_TEAM),
        Permission.RECORD_SCREENS: {
            **_each((Party.PRESCRIBER, Party.NURSE), Scope.CARE_TEAM),
            Party.SCREENS_PROGRAM: Scope.CLINIC,
        },
        # To go ahead although something is open or speaks for a hold.
        Permission.OVERRIDE_GATES: {Party.PRESCRIBER: Scope.CARE_TEAM},
        # Programs have no care team: what they write, they write for every client.
        Permission.SEE_SESSIONS: {**_WITH_CARE_TEAM_OR_CLINIC, Party.SESSIONS_PROGRAM: Scope.CLINIC},
        Permission.BOOK_SESSIONS: {**_WITH_CARE_TEAM_OR_CLINIC, Party.SESSIONS_PROGRAM: Scope.CLINIC},
        Permission.MANAGE_CLIENTS: _WITH_CARE_TEAM_OR_CLINIC,
        # Course, plan and pauses: recorded, never computed.
        Permission.MANAGE_TREATMENT: _WITH_CARE_TEAM_OR_CLINIC,
        Permission.SEE_INFUSIONS: {**_OR_ON_CALL, Party.INFUSIONS_PROGRAM: Scope.CLINIC},
        Permission.RECORD_INFUSIONS: {**_WITH_CARE_TEAM_OR_CLINIC, Party.INFUSIONS_PROGRAM: Scope.CLINIC},
        # Whom an id stands for: names, slots of infusions, staff. People have their pages for that.
        Permission.LOOK_UP_IDS: {Party.DIRECTORY_PROGRAM: Scope.CLINIC},
        # Who covers whom, and who is on call; one's own cover anybody may arrange (USE_OWN_ACCOUNT).
        Permission.SEE_ROTA: _each((*_CLINICAL, Party.COORDINATOR, Party.ADMIN), Scope.CLINIC),
        Permission.MANAGE_ROTA: _each((Party.COORDINATOR, Party.ADMIN), Scope.CLINIC),
        Permission.MANAGE_STAFF: {Party.ADMIN: Scope.CLINIC},
        Permission.MANAGE_SETTINGS: {Party.ADMIN: Scope.CLINIC},
        # Whether anything is late: jobs, messages by state, seals; nothing of clients.
        Permission.SEE_OPERATIONS: {Party.ADMIN: Scope.CLINIC},
        Permission.SEE_AUDIT: {Party.PRIVACY_OFFICER: Scope.CLINIC},
        # The demonstration's caught messages: they name no client, and their secret links are the demonstration's own.
        Permission.SEE_DEMO_MAIL: {Party.ANYONE: Scope.ANYTHING},
    }
)


class OutOfReach(errors.NotFound):
    """It is not there, or not for this person: which of the two, nobody is told. Who asked is written down."""

    def __init__(self) -> None:
        super().__init__("Not found.")


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How far one permission reaches for one person; queries take it apart into parameters."""

    staff_id: UUID
    scopes: frozenset[Scope]

    @property
    def clinic(self) -> bool:
        """Whether it reaches every client of the clinic."""
        return Scope.CLINIC in self.scopes

    @property
    def care_team(self) -> bool:
        """Whether it reaches the clients on whose care team the person is."""
        return Scope.CARE_TEAM in self.scopes

    @property
    def routed(self) -> bool:
        """Whether it reaches alerts that were sent to the person."""
        return Scope.ROUTED in self.scopes


def scopes_of(parties: Iterable[str], permission: Permission) -> frozenset[Scope]:
    """The scopes that somebody with these roles has for a permission; empty where they have none."""
    row = TABLE[permission]
    return frozenset(row[Party(party)] for party in parties if Party(party) in row)


def may(parties: Iterable[str], permission: Permission) -> bool:
    """Whether any of these parties has the permission, over some clients at least."""
    return bool(scopes_of(parties, permission))


def reach(staff_id: UUID, parties: Iterable[str], permission: Permission) -> Reach:
    """How far the permission reaches for this person. Raises NotFound where they do not have it."""
    scopes = scopes_of(parties, permission)
    if not scopes:
        raise OutOfReach
    return Reach(staff_id=staff_id, scopes=scopes)


# Whom a reach covers stands in each statement that asks, here and in `service/desk/inbox.py:COUNT_OPEN`: each can be
# read and planned as it is, and the view `care_team_reach` is the one home of who covers whom. `tests/test_reach.py`
# holds all of them to the same answer.
VISIBLE_CLIENTS = """
select c.client_id
from client c
where c.clinic_id = $1
  and ($3 or ($4 and exists (
    select
    from care_team_reach m
    where m.clinic_id = $1
      and m.client_id = c.client_id
      and m.staff_id = $2
      and m.from_at <= $5
      and (m.until_at is null or m.until_at > $5)
  )))
"""


async def visible_clients(db: Db, who: Reach, *, now: datetime) -> list[UUID]:
    """The clients that this reach covers now; what every list of clients is limited to."""
    records = await db.connection.fetch(VISIBLE_CLIENTS, db.clinic_id, who.staff_id, who.clinic, who.care_team, now)
    return [record["client_id"] for record in records]


SEES_CLIENT = """
select true
from client c
where c.clinic_id = $1
  and c.client_id = $6
  and ($3 or ($4 and exists (
    select
    from care_team_reach m
    where m.clinic_id = $1
      and m.client_id = c.client_id
      and m.staff_id = $2
      and m.from_at <= $5
      and (m.until_at is null or m.until_at > $5)
  )))
"""


async def covers_client(db: Db, who: Reach, client_id: UUID, *, now: datetime) -> bool:
    """Whether this reach covers the client now."""
    seen = await db.value(SEES_CLIENT, db.clinic_id, who.staff_id, who.clinic, who.care_team, now, client_id)
    return seen is not None


async def require_client(db: Db, who: Reach, client_id: UUID, *, now: datetime) -> None:
    """Raises OutOfReach, which is not found, unless this reach covers the client now."""
    if not await covers_client(db, who, client_id, now=now):
        raise OutOfReach


SEES_ALERT = """
select a.client_id
from alert a
where a.clinic_id = $1
  and a.alert_id = $6
  and (
    $3
    or ($4 and exists (
      select
      from care_team_reach m
      where m.clinic_id = $1
        and m.client_id = a.client_id
        and m.staff_id = $2
        and m.from_at <= $5
        and (m.until_at is null or m.until_at > $5)
    ))
    or ($7 and exists (
      select
      from delivery d
      where d.clinic_id = $1
        and d.alert_id = a.alert_id
        and d.staff_id = $2
        and (d.state not in ('blocked', 'dead') or a.acknowledged_by = $2)
    ))
  )
"""


async def require_alert(db: Db, who: Reach, alert_id: UUID, *, now: datetime) -> UUID:
    """The client of an alert that this reach covers now. Raises NotFound otherwise."""
    client_id = await db.value(
        SEES_ALERT, db.clinic_id, who.staff_id, who.clinic, who.care_team, now, alert_id, who.routed
    )
    if not isinstance(client_id, UUID):
        raise OutOfReach
    return client_id


CLIENT_OF_INFUSION = """
select client_id
from infusion
where clinic_id = $1
  and infusion_id = $2
"""


async def require_infusion(db: Db, who: Reach, infusion_id: UUID, *, now: datetime) -> UUID:
    """The client of an infusion, whom this reach covers now. Raises NotFound otherwise."""
    return await _require_client_of(db, who, await db.value(CLIENT_OF_INFUSION, db.clinic_id, infusion_id), now=now)


CLIENT_OF_SESSION = """
select client_id
from therapy_session
where clinic_id = $1
  and therapy_session_id = $2
"""


async def require_session(db: Db, who: Reach, therapy_session_id: UUID, *, now: datetime) -> UUID:
    """The client of a therapy session, whom this reach covers now. Raises NotFound otherwise."""
    found = await db.value(CLIENT_OF_SESSION, db.clinic_id, therapy_session_id)
    return await _require_client_of(db, who, found, now=now)


async def _require_client_of(db: Db, who: Reach, found: object, *, now: datetime) -> UUID:
    if not isinstance(found, UUID):
        raise OutOfReach
    await require_client(db, who, found, now=now)
    return found
