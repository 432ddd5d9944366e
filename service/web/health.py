"""Whether this process lives, and whether it accepts check-ins: what a load balancer and a supervisor ask."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import HttpMethod, Response, route
from litestar.di import NamedDependency

from service.people.access import Permission
from service.web import services as held
from service.web.services import Services

# Load balancers ask by either.
ASKED_BY = [HttpMethod.GET, HttpMethod.HEAD]


class Deadman(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names of broken promises, and whether the first jobs process has yet to look; nothing of clinics or people."""

    overdue: list[str]
    starting: bool = False


@route(
    "/health/live",
    http_method=ASKED_BY,
    status_code=200,
    opt={"access": Permission.COME_IN},
    summary="This process lives",
    tags=["Health"],
)
async def live() -> dict[str, str]:
    """200 as long as the event loop turns."""
    return {"status": "live"}


@route(
    "/health/ready",
    http_method=ASKED_BY,
    status_code=200,
    opt={"access": Permission.COME_IN},
    summary="Check-ins are accepted",
    tags=["Health"],
)
async def ready(services: NamedDependency[Services]) -> Response[dict[str, str]]:
    """200 once check-ins are accepted; a dead jobs process does not take phones offline."""
    await held.ready(services)
    return Response({"status": "ready"}, headers={"Cache-Control": "no-store"})


@route(
    "/health/deadman",
    http_method=ASKED_BY,
    status_code=200,
    opt={"access": Permission.COME_IN, "replies": {200: Deadman, 503: Deadman}},
    summary="Nothing is overdue",
    tags=["Health"],
)
async def deadman(services: NamedDependency[Services], now: NamedDependency[datetime]) -> Response[Deadman]:
    """200 while every promise holds and a jobs process reports; 503 with the names of what is overdue."""
    overdue, starting = await services.pulse.promises(now=now)
    return Response(
        Deadman(overdue=overdue, starting=starting),
        status_code=503 if overdue else 200,
        headers={"Cache-Control": "no-store"},
    )


ROUTES = [live, ready, deadman]
