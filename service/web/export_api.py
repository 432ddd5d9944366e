"""A client's data taken along, over the API and from a page: written down as a disclosure, with its ground."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
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
from service.web.desk_session import Desk, form_of, open_desk
from service.web.staff_api import HEADERS

EXPORT = {"access": Permission.EXPORT_CLIENTS}
MEDIA_TYPES = {ExportFormat.CSV: ("application/zip", "zip"), ExportFormat.FHIR: ("application/fhir+json", "json")}


async def exported(desk: Desk, client_id: UUID, form: ExportForm) -> Response[bytes]:
    """The file of a client within reach, and its row in the audit trail. Raises Invalid for notes out of reach."""
    sealer = None
    if form.notes:
        if not await desk.reaches(Permission.SEE_NOTES, client_id):
            raise errors.Invalid("The notes are for the care team.", fields=(errors.FieldFault("notes", "false"),))
        sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    found = await gathered.of(desk.db, client_id, sealer=sealer, now=desk.now)
    await audit.record(desk.db, desk.actor, "client.export", client_id=client_id, reason=form.basis, now=desk.now)
    content = await _written(found, form.format)
    media_type, ending = MEDIA_TYPES[form.format]
    name = f"{client_id}-{desk.today.isoformat()}.{ending}"
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
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """One client as CSV tables (a ZIP file) or as a FHIR R4 bundle."""
    await desk.require_client(client_id)
    return await exported(desk, client_id, strict.decode(await request.body(), ExportForm))


@get("/clients/{client_id:uuid}/export", opt=EXPORT)
async def show_export(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """The choices."""
    await desk.require_client(client_id)
    context = {"client": await clients.get(desk.db, client_id)}
    await desk.record("client.read", client_id=client_id)
    return await desk_page.show(desk, "export.html", context, here="/caseload")


@post("/clients/{client_id:uuid}/export", opt=EXPORT, status_code=200)
async def take_export(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """The file."""
    await desk.require_client(client_id)
    form = await form_of(request)
    told = {"format": form.get("format"), "basis": form.get("basis"), "notes": "notes" in form}
    try:
        wanted = msgspec.convert(told, ExportForm)
    except msgspec.ValidationError as error:
        fields = [errors.FieldFault(name, "one of those shown") for name in ("format", "basis")]
        raise errors.Invalid("Choose a format and a ground.", fields=fields) from error
    return await exported(desk, client_id, wanted)


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
