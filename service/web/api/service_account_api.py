"""Service accounts over the API, for admins: make, list, revoke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.service_account import ServiceAccountForm, ServiceAccountPage, ServiceAccountToken, ServiceScope
from service.people import service_accounts
from service.people.access import Permission
from service.web import strict
from service.web.api.staff_api import HEADERS, json_reply
from service.web.desk_session import Desk, open_desk

SETTINGS = Permission.MANAGE_SETTINGS
TAGS = ["Service accounts"]


async def add(desk: Desk, name: str, scopes: Sequence[ServiceScope]) -> ServiceAccountToken:
    """Make an account, written down. Raises Invalid."""
    account_id, token = await service_accounts.add(desk.db, name, scopes, by=desk.who.staff_id, now=desk.now)
    await desk.record("service_account.add", object_id=account_id)
    return ServiceAccountToken(service_account_id=account_id, token=token)


async def revoke(desk: Desk, account_id: UUID) -> None:
    """Shut it out, written down. Raises NotFound."""
    await service_accounts.revoke(desk.db, account_id, now=desk.now)
    await desk.record("service_account.revoke", object_id=account_id)


@get("/v1/service-accounts", opt={"access": SETTINGS, "replies": {200: ServiceAccountPage}}, tags=TAGS)
async def list_service_accounts(desk: NamedDependency[Desk]) -> Response[bytes]:
    """Every program that may write for the clinic, revoked ones too."""
    return json_reply(ServiceAccountPage(items=await service_accounts.of(desk.db)))


@post(
    "/v1/service-accounts",
    opt={"access": SETTINGS, "body": ServiceAccountForm, "replies": {201: ServiceAccountToken}},
    tags=TAGS,
)
async def add_service_account(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Let a program write what its scopes name; its token is told this once."""
    form = strict.decode(await request.body(), ServiceAccountForm)
    return json_reply(await add(desk, form.name, form.scopes), 201)


@post(
    "/v1/service-accounts/{account_id:uuid}/revoke",
    opt={"access": SETTINGS, "replies": {204: None}},
    tags=TAGS,
)
async def revoke_service_account(desk: NamedDependency[Desk], account_id: FromPath[UUID]) -> Response[None]:
    """Shut it out from the next request on; what it wrote stays."""
    await revoke(desk, account_id)
    return Response(None, status_code=204, headers=HEADERS)


ROUTES = (
    Router(
        path="/",
        route_handlers=[list_service_accounts, add_service_account, revoke_service_account],
        dependencies={"desk": Provide(open_desk)},
    ),
)
