"""A client's charts as pictures, over the days or laid over each other by infusion."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from service import errors
from service.desk import client_page, curves
from service.people.access import Permission
from service.web import page_problems
from service.web.charts import chart_spec, overlay_spec
from service.web.charts.chart_spec import Shape, Spec
from service.web.charts.charts import version_of
from service.web.desk_session import at_desk
from service.web.pages import HEADERS
from service.web.services import Services

# What a person may choose to see of a trend. More days than about four years are no line any more; where there are, the
# page says so.
SPANS = {"28": 28, "70": 70, "all": 1500}
DEFAULT_SPAN = "70"
# An SVG opened by itself carries its own style element; it runs and loads nothing.
CHART_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

Caller = Request[Any, Any, Any]


@get("/clients/{client_id:uuid}/chart.svg", opt={"access": Permission.SEE_CLIENTS})
async def show_chart(
    request: Caller,
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    client_id: FromPath[UUID],
    days: FromQuery[str | None] = None,
    shape: FromQuery[Shape] = "wide",
) -> Response[Any]:
    """The three charts as one picture; 304 while its data is the same."""
    shown = SPANS.get(days or DEFAULT_SPAN, SPANS[DEFAULT_SPAN])
    async with at_desk(request, services, now) as desk:
        await desk.require_client(client_id)
        chart = await client_page.chart_of(desk.db, client_id, days=shown, now=now)
        if not chart.trend:
            raise errors.NotFound("There is nothing to draw yet.")
        await desk.record("client.read_chart", client_id=client_id)
    return await _picture(request, services, chart_spec.spec_of(chart, shape))


@get("/clients/{client_id:uuid}/overlay.svg", opt={"access": Permission.SEE_CLIENTS})
async def show_overlay(
    request: Caller,
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    client_id: FromPath[UUID],
    shape: FromQuery[Shape] = "wide",
) -> Response[Any]:
    """The days after the last infusions laid over each other; 304 while its data is the same."""
    async with at_desk(request, services, now) as desk:
        await desk.require_client(client_id)
        drawn = await curves.of(desk.db, client_id, days=overlay_spec.READ_DAYS)
        if not any(curve.points for curve in overlay_spec.laid(drawn).curves):
            raise errors.NotFound("There is nothing to draw yet.")
        await desk.record("client.read_chart", client_id=client_id)
    return await _picture(request, services, overlay_spec.spec_of(drawn, shape))


async def _picture(request: Caller, services: Services, spec: Spec) -> Response[Any]:
    # Health data: no browser keeps it (docs/decisions/0017-charts-are-kept-by-no-browser.md). The ETag is for programs.
    headers = {**HEADERS, "Content-Security-Policy": CHART_POLICY}
    headers["ETag"] = f'"{version_of(spec)}"'
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(None, status_code=304, headers=headers)
    return Response(await services.charts.draw(spec), media_type="image/svg+xml", headers=headers)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_chart, show_overlay],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
