"""Adding clients; their phones and their care team."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import segno
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.client import Client
from schemas.course import Substance
from schemas.device import IssuedCode
from schemas.staff import CARE_TEAM_ROLES, CLINICAL_ROLES, Role, Staff
from service import errors, ids
from service.alerting import leases
from service.desk import client_page, therapists
from service.facts import courses, fold_queue
from service.people import audit, clients, clinics, consents, devices, staff
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.desk_session import Desk, choices_of, form_of, open_desk, sent_id
from service.web.forms import as_shown
from service.web.pages import go_to

MANAGE = {"access": Permission.MANAGE_CLIENTS}


@get("/clients/new", opt=MANAGE)
async def show_new(desk: NamedDependency[Desk]) -> Response[Any]:
    """The form for a new client."""
    context = {
        "substances": list(Substance),
        "colleagues": await _colleagues(desk),
        "zones": clinics.time_zones(),
        "fresh_id": ids.new(),
    }
    return await desk_page.show(desk, "client_new.html", context, here="/caseload")


@post("/clients", opt=MANAGE)
async def add(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Add a client, their course and the first member of their care team."""
    form, ticked = await form_of(request), await choices_of(request, "substances")
    treated = [substance for substance in Substance if substance in ticked]
    primary = next((each for each in treated if each == form.get("primary")), None)
    if primary is not None:
        treated = [primary, *(each for each in treated if each is not primary)]
    _refuse_incomplete(form, treated)
    client_id = sent_id(form)
    if client_id is not None and (known := await clients.find(desk.db, client_id)) is not None:
        # Sent again by somebody whom no answer reached.
        if (known.given_name, known.family_name) == (form["given_name"].strip(), form.get("family_name", "").strip()):
            return go_to(f"/clients/{client_id}/manage")
        raise errors.Conflict("Somebody was added from this page already. Open it anew for the next person.")
    today = desk.now.astimezone(desk.view.zone).date()
    client_id = await clients.add(
        desk.db,
        desk.services.master,
        given_name=form["given_name"].strip(),
        family_name=form.get("family_name", "").strip(),
        time_zone=form["time_zone"],
        enrolled_on=today,
        now=desk.now,
        client_id=client_id,
    )
    await courses.start(desk.db, client_id, treated, started_on=today, now=desk.now)
    await _first_member(desk, client_id, form.get("staff_id", ""))
    await desk.record("client.add", client_id=client_id)
    return go_to(f"/clients/{client_id}/manage")


def _faults_of(form: dict[str, str]) -> list[errors.FieldFault]:
    faults = []
    if not form.get("given_name", "").strip():
        faults.append(errors.FieldFault("given_name", "what the client is called"))
    if form.get("time_zone") not in clinics.time_zones():
        faults.append(errors.FieldFault("time_zone", "one of the list"))
    return faults


def _refuse_incomplete(form: dict[str, str], treated: list[Substance]) -> None:
    faults = _faults_of(form)
    if not treated:
        faults.append(errors.FieldFault("substances", "at least one"))
    if (primary := form.get("primary")) and primary not in treated:
        # Taken as nothing, the phone would never ask about what was meant to come first.
        faults.append(errors.FieldFault("primary", "one of those that are ticked"))
    if faults:
        raise errors.Invalid("The client cannot be added yet.", fields=faults)


async def _first_member(desk: Desk, client_id: UUID, chosen: str) -> None:
    """Whoever was chosen; a clinician who adds a client and chooses nobody treats them."""
    colleague = next((each for each in await _colleagues(desk) if str(each.staff_id) == chosen), None)
    own = next((role for role in CLINICAL_ROLES if role in desk.who.roles), None)
    if colleague is not None:
        role = next(role for role in CARE_TEAM_ROLES if role in colleague.roles)
        await _assign(desk, client_id, colleague.staff_id, role)
    if own is not None and (colleague is None or not desk.reach().clinic):
        await _assign(desk, client_id, desk.who.staff_id, own)


async def _assign(desk: Desk, client_id: UUID, staff_id: UUID, role: Role) -> None:
    await clients.assign(desk.db, client_id, staff_id, role, from_at=desk.now)
    await desk.record("care_team.assign", client_id=client_id, object_id=staff_id)


async def _colleagues(desk: Desk) -> list[Staff]:
    return await staff.at_work(desk.db, CARE_TEAM_ROLES)


@get("/clients/{client_id:uuid}/manage", opt=MANAGE)
async def show_management(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """A client's phone and care team."""
    await desk.require_client(client_id)
    await desk.record("client.read_management", client_id=client_id)
    client = await clients.get(desk.db, client_id)
    context = {
        "client": client,
        "shown": as_shown.marks_of(_fields_of(client)),
        "devices": await devices.devices_of(desk.db, client_id),
        "team": await client_page.team_of(desk.db, client_id, now=desk.now),
        "alone": await therapists.left_alone(desk.db, [client_id], now=desk.now),
        "colleagues": await _colleagues(desk),
        "roles": CARE_TEAM_ROLES,
        "zones": clinics.time_zones(),
        **await _consents(desk, client_id),
    }
    return await desk_page.show(desk, "client_manage.html", context, here="/caseload")


@post("/clients/{client_id:uuid}/name", opt=MANAGE)
async def change(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Correct the client's name or time zone; by another zone their days are folded again, from the first."""
    await desk.require_client(client_id)
    form = await form_of(request)
    if faults := _faults_of(form):
        raise errors.Invalid("Please look at what is marked.", fields=faults)
    await clients.hold(desk.db, client_id)
    before = await clients.get(desk.db, client_id)
    as_shown.refuse_older(form, _fields_of(before))
    name, family, zone = form["given_name"].strip(), form.get("family_name", "").strip(), form["time_zone"]
    await clients.change(desk.db, client_id, given_name=name, family_name=family, time_zone=zone)
    moved = before.time_zone != zone
    if moved:
        await fold_queue.mark_due(desk.db, client_id, from_day=before.enrolled_on, now=desk.now)
    told = f"{before.time_zone} → {zone}" if moved else None
    await audit.record(desk.db, desk.actor, "client.change", client_id=client_id, reason=told, now=desk.now)
    return go_to(f"/clients/{client_id}/manage")


def _fields_of(client: Client) -> as_shown.Fields:
    return {"given_name": client.given_name, "family_name": client.family_name, "time_zone": client.time_zone}


async def _consents(desk: Desk, client_id: UUID) -> dict[str, object]:
    """What the client said about recipients outside the clinic, for whoever may read it; and whether they record it."""
    sees = await desk.reaches(Permission.SEE_CONSENTS, client_id)
    return {
        "consents": await consents.history(desk.db, client_id) if sees else None,
        "records_consents": await desk.reaches(Permission.RECORD_CONSENTS, client_id),
    }


@post("/clients/{client_id:uuid}/enrolment-code", opt=MANAGE)
async def issue_code(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """A one-time code for the client's phone, shown this once; for a lost phone the old one is shut out at once."""
    await desk.require_client(client_id)
    lost = (await form_of(request)).get("lost") == "yes"
    issue = devices.replace_lost if lost else devices.issue_code
    code = await issue(desk.db, client_id, by=desk.who.staff_id, now=desk.now)
    return await _code_page(desk, client_id, code, lost=lost)


async def _code_page(desk: Desk, client_id: UUID, code: IssuedCode, *, lost: bool) -> Response[str]:
    base_url = desk.services.config.base_url
    # In the fragment, which no server sees and no log keeps.
    url = f"{base_url}/phone/{code.clinic}#{code.code}"
    client = await clients.get(desk.db, client_id)
    context = {
        "client": client,
        # Two sheets in one printer are told apart, and a sheet that is found tells of nobody.
        "initials": " ".join(f"{name[0]}." for name in (client.given_name, client.family_name) if name),
        "code": code,
        "lost": lost,
        "url": url,
        "page": f"{base_url}/phone/{code.clinic}",
        "qr": segno.make_qr(url).svg_inline(scale=6, dark="#000", light="#fff", omitsize=True),
    }
    return await desk_page.show(desk, "client_code.html", context, here="/caseload")


@post("/clients/{client_id:uuid}/devices/{device_id:uuid}/revoke", opt=MANAGE)
async def revoke_device(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], device_id: FromPath[UUID]
) -> Response[Any]:
    """Shut a phone out."""
    await desk.require_client(client_id)
    if device_id not in {each.device_id for each in await devices.devices_of(desk.db, client_id)}:
        raise errors.NotFound("Not found.")
    await devices.revoke(desk.db, device_id, by=desk.actor, why="by_clinic", now=desk.now)
    return go_to(f"/clients/{client_id}/manage")


@post("/clients/{client_id:uuid}/team", opt=MANAGE)
async def assign(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Put a colleague on the care team, in a role they have."""
    await desk.require_client(client_id)
    form = await form_of(request)
    colleague = next((each for each in await _colleagues(desk) if str(each.staff_id) == form.get("staff_id")), None)
    role = next((each for each in CARE_TEAM_ROLES if colleague and each in colleague.roles), None)
    if colleague is None or role is None:
        raise errors.Invalid("Choose a colleague.", fields=(errors.FieldFault("staff_id", "one of the list"),))
    await _assign(desk, client_id, colleague.staff_id, role)
    return go_to(f"/clients/{client_id}/manage")


@post("/clients/{client_id:uuid}/team/{staff_id:uuid}/remove", opt=MANAGE)
async def unassign(desk: NamedDependency[Desk], client_id: FromPath[UUID], staff_id: FromPath[UUID]) -> Response[Any]:
    """Take a colleague off the care team."""
    await desk.require_client(client_id)
    await clients.unassign(desk.db, client_id, staff_id, now=desk.now)
    await leases.end_beyond_reach(desk.db, now=desk.now)
    await desk.record("care_team.unassign", client_id=client_id, object_id=staff_id)
    # Whoever took themselves off no longer finds the client.
    own = staff_id == desk.who.staff_id and not desk.reach().clinic
    return go_to("/caseload" if own else f"/clients/{client_id}/manage")


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_new, add, show_management, change, issue_code, revoke_device, assign, unassign],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
