"""A client's data taken along, over the API and from a page: written down as a disclosure, with its ground."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.export import ExportForm, ExportFormat
from service import errors
from service.export import gathered, package
from service.people import audit, clients
from service.people.access import Permission
from service.web import desk_page, page_problems, strict
from service.web.api.staff_api import HEADERS
from service.web.desk_session import Desk, at_desk, form_of, open_desk
from service.web.services import Services

EXPORT = {"access": Permission.EXPORT_CLIENTS}
MEDIA_TYPES = {ExportFormat.CSV: ("application/zip", "zip"), ExportFormat.FHIR: ("application/fhir+json", "json")}


async def _gathered(desk: Desk, client_id: UUID, form: ExportForm) -> gathered.Gathered:
    """What is told of a client, with its row in the audit trail. Raises Invalid for notes out of reach."""
    sealer = None
    if form.notes:
        if not await desk.reaches(Permission.SEE_NOTES, client_id):
            raise errors.Invalid("The notes are for the care team.", fields=(errors.FieldFault("notes", "false"),))
        sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    found = await gathered.of(desk.db, client_id, sealer=sealer, now=desk.now)
    await audit.record(desk.db, desk.actor, "client.export", client_id=client_id, reason=form.basis, now=desk.now)
    return found


async def _file_of(found: gathered.Gathered, form: ExportFormat) -> Response[bytes]:
    """It takes seconds: for after the desk's transaction."""
    content = await _written(found, form)
    media_type, ending = MEDIA_TYPES[form]
    today = found.now.astimezone(found.zone).date()
    name = f"{found.client.client_id}-{today.isoformat()}.{ending}"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, status_code=200, media_type=media_type, headers=headers)


async def _written(found: gathered.Gathered, form: ExportFormat) -> bytes:
    if form is ExportFormat.CSV:
        return await asyncio.to_thread(package.of_one, found, form)
    # The FHIR library takes a second and 60 MB to load: a process of its own, which ends with the request.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        return await asyncio.get_running_loop().run_in_executor(apart, package.bundle_of, found)


@post(
    "/v1/clients/{client_id:uuid}/export",
    opt={**EXPORT, "body": ExportForm, "replies": {200: None}, "files": ("application/zip", "application/fhir+json")},
    status_code=200,
    tags=["Export"],
)
async def export_client(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    client_id: FromPath[UUID],
) -> Response[bytes]:
    """One client as CSV tables (a ZIP file) or as a FHIR R4 bundle."""
    async with at_desk(request, services, now) as desk:
        await desk.require_client(client_id)
        wanted = strict.decode(await request.body(), ExportForm)
        found = await _gathered(desk, client_id, wanted)
    return await _file_of(found, wanted.format)


@get("/clients/{client_id:uuid}/export", opt=EXPORT)
async def show_export(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """The choices."""
    await desk.require_client(client_id)
    context = {"client": await clients.get(desk.db, client_id)}
    await desk.record("client.read", client_id=client_id)
    return await desk_page.show(desk, "export.html", context, here="/caseload")


@post("/clients/{client_id:uuid}/export", opt=EXPORT, status_code=200)
async def take_export(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    client_id: FromPath[UUID],
) -> Response[Any]:
    """The file."""
    async with at_desk(request, services, now) as desk:
        await desk.require_client(client_id)
        wanted = _wanted(await form_of(request))
        found = await _gathered(desk, client_id, wanted)
    return await _file_of(found, wanted.format)


def _wanted(form: dict[str, str]) -> ExportForm:
    told = {"format": form.get("format"), "basis": form.get("basis"), "notes": "notes" in form}
    try:
        return msgspec.convert(told, ExportForm)
    except msgspec.ValidationError as error:
        fields = [errors.FieldFault(name, "one of those shown") for name in ("format", "basis")]
        raise errors.Invalid("Choose a format and a ground.", fields=fields) from error


ROUTES = (
    Router(path="/", route_handlers=[export_client], dependencies={"desk": Provide(open_desk)}),
    Router(
        path="/",
        route_handlers=[show_export, take_export],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
