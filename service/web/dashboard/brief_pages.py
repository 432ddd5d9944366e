"""The brief before an appointment: as a page that prints on one sheet, and as JSON."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from schemas.brief import Brief, BriefFor
from service.desk import brief
from service.people import clients
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.api.staff_api import json_reply
from service.web.dashboard import changes
from service.web.desk_session import Desk, open_desk

For = Annotated[BriefFor, QueryParameter(name="for", description="before which appointment it is read")]


async def _written(desk: Desk, client_id: UUID, brief_for: BriefFor) -> Brief:
    await desk.require_client(client_id)
    sees_notes = await desk.reaches(Permission.SEE_NOTES, client_id)
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id) if sees_notes else None
    sees_gates = await desk.reaches(Permission.SEE_GATES, client_id)
    return await brief.write(desk.db, client_id, brief_for, sealer=sealer, sees_gates=sees_gates, now=desk.now)


async def _read(desk: Desk, client_id: UUID, brief_for: BriefFor) -> Brief:
    written = await _written(desk, client_id, brief_for)
    await desk.record("brief.read", client_id=client_id)
    return written


@get(
    "/v1/clients/{client_id:uuid}/brief",
    opt={"access": Permission.SEE_CLIENTS, "replies": {200: Brief}},
    summary="The brief before an appointment",
    tags=["Treatment"],
)
async def get_brief(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], brief_for: For = BriefFor.THERAPY
) -> Response[bytes]:
    """What happened since the last appointment, in sentences with their evidence; notes for whoever may read them."""
    return json_reply(await _read(desk, client_id, brief_for))


@get("/clients/{client_id:uuid}/brief", opt={"access": Permission.SEE_CLIENTS})
async def show_brief(
    desk: NamedDependency[Desk], client_id: FromPath[UUID], brief_for: For = BriefFor.THERAPY
) -> Response[Any]:
    """The same to read or to print."""
    written = await _read(desk, client_id, brief_for)
    context = {"brief": written, "version": _version_of(written), "BriefFor": BriefFor}
    return await desk_page.show(desk, "brief.html", context, here="/caseload")


@get("/clients/{client_id:uuid}/brief/changed", opt={"access": Permission.SEE_CLIENTS})
async def look_at_brief(
    desk: NamedDependency[Desk],
    client_id: FromPath[UUID],
    brief_for: For = BriefFor.THERAPY,
    seen: FromQuery[str] = "",
    told: FromQuery[str] = "",
) -> Response[Any]:
    """Whether the brief would say anything else than what was seen."""
    written = await _written(desk, client_id, brief_for)
    return changes.answer(desk, changed=_version_of(written) != seen, told=told)


def _version_of(written: Brief) -> str:
    """A digest of what the sheet says."""
    # Nor of when the next appointment is: that changes by itself as one begins, in the minute in which this is read.
    return changes.digest_of(msgspec.structs.replace(written, written_at=written.since, appointment_at=None))


_WITH_DESK = {"desk": Provide(open_desk)}
ROUTES = (
    Router(path="/", route_handlers=[get_brief], dependencies=_WITH_DESK),
    Router(
        path="/",
        route_handlers=[show_brief, look_at_brief],
        dependencies=_WITH_DESK,
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
