"""The directory, for programs: which client, which infusion, which person an id stands for."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from schemas.directory import (
    DirectoryClients,
    DirectoryInfusion,
    DirectoryInfusions,
    DirectoryStaff,
    DirectoryStaffMember,
)
from service.facts import infusions
from service.people import clients, staff
from service.people.access import Permission
from service.web.api.staff_api import json_reply
from service.web.desk_session import Desk, open_desk

LOOK_UP = Permission.LOOK_UP_IDS
MOST_CLIENTS = 200
TAGS = ["Directory"]


@get("/v1/directory/clients", opt={"access": LOOK_UP, "replies": {200: DirectoryClients}}, tags=TAGS)
async def list_directory_clients(
    desk: NamedDependency[Desk],
    after: FromQuery[UUID | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_CLIENTS)] = MOST_CLIENTS,
) -> Response[bytes]:
    """Every client of the clinic by name, a page at a time: to match with one's own records, once."""
    found = await clients.directory(desk.db, after=after, limit=limit + 1)
    await desk.record("directory.read_clients")
    shown = found[:limit]
    return json_reply(DirectoryClients(items=shown, next=shown[-1].client_id if len(found) > limit else None))


@get(
    "/v1/directory/clients/{client_id:uuid}/infusions",
    opt={"access": LOOK_UP, "replies": {200: DirectoryInfusions}},
    tags=TAGS,
)
async def list_directory_infusions(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """The slots of a client's infusions, also of those that staff planned: a screen is put on one of them."""
    await desk.require_client(client_id)
    booked = await infusions.of(desk.db, client_id)
    await desk.record("directory.read_infusions", client_id=client_id)
    items = [
        DirectoryInfusion(
            infusion_id=each.infusion_id, planned_at=each.planned_at, state=each.state, version=each.version
        )
        for each in booked
    ]
    return json_reply(DirectoryInfusions(items=items))


@get("/v1/directory/staff", opt={"access": LOOK_UP, "replies": {200: DirectoryStaff}}, tags=TAGS)
async def list_directory_staff(desk: NamedDependency[Desk]) -> Response[bytes]:
    """Everybody who works for the clinic now: a session names who holds it."""
    at_work = await staff.at_work(desk.db)
    await desk.record("directory.read_staff")
    items = [DirectoryStaffMember(staff_id=each.staff_id, name=each.name, roles=each.roles) for each in at_work]
    return json_reply(DirectoryStaff(items=items))


ROUTES = (
    Router(
        path="/",
        route_handlers=[list_directory_clients, list_directory_infusions, list_directory_staff],
        dependencies={"desk": Provide(open_desk)},
    ),
)
