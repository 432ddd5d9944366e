"""Webhook endpoints over the API, for admins: add, give a new secret, disable, enable again, say whose they are."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.messaging import EndpointForm, EndpointLine, EndpointPage, EndpointSecret, OutsideForm
from service import errors
from service.notify import endpoint
from service.people import webhook_endpoints
from service.people.access import Permission
from service.web import strict
from service.web.api.staff_api import HEADERS, json_reply
from service.web.desk_session import Desk, open_desk

SETTINGS = Permission.MANAGE_SETTINGS
ONE = "/v1/webhook-endpoints/{endpoint_id:uuid}"


def refuse_bad_url(url: str, allowed: frozenset[str]) -> None:
    """Raise Invalid for what could never be sent to; where a name leads is seen when a message is sent."""
    try:
        endpoint.read(url, allowed=allowed)
    except endpoint.Refused as error:
        fault = errors.FieldFault("url", "a public https address, without a login, a blank or a # in it")
        raise errors.Invalid("This address cannot be used.", fields=(fault,)) from error


async def add(desk: Desk, url: str, *, outside: bool) -> EndpointSecret:
    """Announce alerts there. Raises Invalid."""
    refuse_bad_url(url, desk.services.config.webhook_allow)
    endpoint_id, secret = await webhook_endpoints.add(desk.db, desk.services.master, url, outside=outside, now=desk.now)
    await desk.record("webhook_endpoint.add", object_id=endpoint_id)
    return EndpointSecret(endpoint_id=endpoint_id, secret=webhook_endpoints.written(secret))


async def rotate(desk: Desk, endpoint_id: UUID) -> EndpointSecret:
    """A new secret; the one before signs beside it for a day. Raises NotFound."""
    secret = await webhook_endpoints.rotate(desk.db, desk.services.master, endpoint_id, now=desk.now)
    await desk.record("webhook_endpoint.rotate", object_id=endpoint_id)
    return EndpointSecret(endpoint_id=endpoint_id, secret=webhook_endpoints.written(secret))


async def disable(desk: Desk, endpoint_id: UUID) -> None:
    """Send nothing there any more. Raises NotFound."""
    await webhook_endpoints.disable(desk.db, endpoint_id, why="by an admin", now=desk.now)
    await desk.record("webhook_endpoint.disable", object_id=endpoint_id)


async def enable(desk: Desk, endpoint_id: UUID) -> None:
    """Send there again. Raises NotFound."""
    await webhook_endpoints.enable(desk.db, endpoint_id)
    await desk.record("webhook_endpoint.enable", object_id=endpoint_id)


async def set_outside(desk: Desk, endpoint_id: UUID, *, outside: bool) -> None:
    """Say whether it belongs to somebody outside the clinic. Raises NotFound."""
    await webhook_endpoints.set_outside(desk.db, endpoint_id, outside=outside)
    action = "webhook_endpoint.set_outside" if outside else "webhook_endpoint.set_inside"
    await desk.record(action, object_id=endpoint_id)


@get("/v1/webhook-endpoints", opt={"access": SETTINGS, "replies": {200: EndpointPage}}, tags=["Messages"])
async def list_endpoints(desk: NamedDependency[Desk]) -> Response[bytes]:
    """Every endpoint of the clinic; secrets are told once, when they are made."""
    lines = [
        EndpointLine(
            endpoint_id=each.webhook_endpoint_id,
            url=each.url,
            created_at=each.created_at,
            previous_until=each.previous_until,
            disabled_at=each.disabled_at,
            disabled_why=each.disabled_why,
            outside=each.outside,
        )
        for each in await webhook_endpoints.of(desk.db)
    ]
    return json_reply(EndpointPage(items=lines))


@post(
    "/v1/webhook-endpoints",
    opt={"access": SETTINGS, "body": EndpointForm, "replies": {201: EndpointSecret}},
    tags=["Messages"],
)
async def add_endpoint(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Announce the clinic's alerts at a further address; at one outside the clinic, those of clients who consented."""
    form = strict.decode(await request.body(), EndpointForm)
    return json_reply(await add(desk, form.url.strip(), outside=form.outside), 201)


@post(f"{ONE}/rotate", opt={"access": SETTINGS, "replies": {200: EndpointSecret}}, tags=["Messages"])
async def rotate_endpoint(desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]) -> Response[bytes]:
    """A new secret; for 24 hours every message is signed with the one before, too."""
    return json_reply(await rotate(desk, endpoint_id))


@post(f"{ONE}/disable", opt={"access": SETTINGS, "replies": {204: None}}, tags=["Messages"])
async def disable_endpoint(desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]) -> Response[None]:
    """Send nothing there any more."""
    await disable(desk, endpoint_id)
    return Response(None, status_code=204, headers=HEADERS)


@post(f"{ONE}/enable", opt={"access": SETTINGS, "replies": {204: None}}, tags=["Messages"])
async def enable_endpoint(desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]) -> Response[None]:
    """Send there again, after it said that it was gone or an admin disabled it."""
    await enable(desk, endpoint_id)
    return Response(None, status_code=204, headers=HEADERS)


@post(f"{ONE}/outside", opt={"access": SETTINGS, "body": OutsideForm, "replies": {204: None}}, tags=["Messages"])
async def set_endpoint_outside(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]
) -> Response[None]:
    """Say whether it belongs to somebody outside the clinic; it holds from the next message on."""
    form = strict.decode(await request.body(), OutsideForm)
    await set_outside(desk, endpoint_id, outside=form.outside)
    return Response(None, status_code=204, headers=HEADERS)


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            list_endpoints,
            add_endpoint,
            rotate_endpoint,
            disable_endpoint,
            enable_endpoint,
            set_endpoint_outside,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
