"""The page of the programs that write for the clinic, for admins."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.service_account import ServiceScope
from service.people import service_accounts
from service.people.access import Permission
from service.web import desk_page, page_problems
from service.web.api import service_account_api
from service.web.desk_session import Desk, choices_of, form_of, open_desk
from service.web.pages import go_to

SETTINGS = {"access": Permission.MANAGE_SETTINGS}
HERE = "/settings/service-accounts"


@get(HERE, opt=SETTINGS)
async def show_accounts(desk: NamedDependency[Desk]) -> Response[Any]:
    """Every account, and the form to make one."""
    context = {"accounts": await service_accounts.of(desk.db), "scopes": list(ServiceScope)}
    return await desk_page.show(desk, "service_accounts.html", context, here="/settings")


@post(HERE, opt=SETTINGS)
async def add_account(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Make an account; its token is shown this once."""
    form, ticked = await form_of(request), await choices_of(request, "scopes")
    scopes = [scope for scope in ServiceScope if scope in ticked]
    made = await service_account_api.add(desk, form.get("name", ""), scopes)
    context = {"name": form.get("name", ""), "token": made.token, "api": desk.services.config.base_url + "/v1"}
    return await desk_page.show(desk, "service_account_token.html", context, here="/settings")


@post(HERE + "/{account_id:uuid}/revoke", opt=SETTINGS)
async def revoke_account(desk: NamedDependency[Desk], account_id: FromPath[UUID]) -> Response[Any]:
    """Shut it out."""
    await service_account_api.revoke(desk, account_id)
    return go_to(HERE)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_accounts, add_account, revoke_account],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
