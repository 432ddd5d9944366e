"""The desk's page of a client's instruments."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from service.desk import instruments_page, sentences
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.desk_session import Desk, open_desk


@get("/clients/{client_id:uuid}/instruments", opt={"access": Permission.SEE_CLIENTS})
async def show_instruments(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """Totals by time, what changed and by which rule, and every time an instrument was asked."""
    await desk.require_client(client_id)
    view = await instruments_page.read(desk.db, client_id, now=desk.now)
    await desk.record("client.read_instruments", client_id=client_id)
    context = {"view": view, "dated": lambda on: sentences.day(on, desk.today)}
    return await desk_page.show(desk, "client_instruments.html", context, here="/caseload")


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_instruments],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
