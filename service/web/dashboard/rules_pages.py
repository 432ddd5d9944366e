"""The desk's pages of the rules: how often they may be wrong, tried on the last 90 days before it is switched on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.rules import ClientRuleChangeForm, Preview, PreviewForm, RuleChangeForm
from service.desk import sentences
from service.people import clients, staff
from service.people.access import Permission
from service.rulebook import rule_changes
from service.rules import rule_sets
from service.web import desk_page, page_problems, strict
from service.web.api.rules_api import changed, changed_for_client, preview_of, rules_of
from service.web.desk_session import Desk, form_of, open_desk
from service.web.pages import go_to

Caller = Request[Any, Any, Any]
Form = TypeVar("Form", PreviewForm, RuleChangeForm, ClientRuleChangeForm)
SEE, MANAGE = {"access": Permission.SEE_RULES}, {"access": Permission.MANAGE_RULES}
TREAT = {"access": Permission.MANAGE_TREATMENT}
NUMBERS = frozenset({"budget_days", "after_version"})


@get("/rules", opt=SEE)
async def show_rules(desk: NamedDependency[Desk]) -> Response[Any]:
    """What holds, and its history."""
    return await _page(desk)


@post("/rules/preview", opt=SEE)
async def try_rules(request: Caller, desk: NamedDependency[Desk]) -> Response[Any]:
    """What another number would have done, and the form that switches it on."""
    form = _read(await form_of(request), PreviewForm)
    return await _page(desk, preview=await preview_of(desk, form.budget_days))


@post("/rules", opt=MANAGE)
async def switch_on(request: Caller, desk: NamedDependency[Desk]) -> Response[Any]:
    """Choose the clinic's number."""
    await changed(desk, _read(await form_of(request), RuleChangeForm))
    return go_to("/rules")


@get("/clients/{client_id:uuid}/rules", opt=TREAT)
async def show_client_rules(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """The number that holds for one client, and its history."""
    await desk.require_client(client_id)
    await desk.record("rules.read", client_id=client_id)
    return await _page(desk, client_id=client_id)


@post("/clients/{client_id:uuid}/rules/preview", opt=TREAT)
async def try_client_rules(request: Caller, desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """What another number would have done for this client."""
    await desk.require_client(client_id)
    form = _read(await form_of(request), PreviewForm)
    preview = await preview_of(desk, form.budget_days, client_id=client_id)
    return await _page(desk, client_id=client_id, preview=preview)


@post("/clients/{client_id:uuid}/rules", opt=TREAT)
async def switch_on_for_client(
    request: Caller, desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Choose this client's number, or with an empty field the clinic's again."""
    await desk.require_client(client_id)
    await changed_for_client(desk, client_id, _read(await form_of(request), ClientRuleChangeForm))
    return go_to(f"/clients/{client_id}/rules")


async def _page(desk: Desk, *, client_id: UUID | None = None, preview: Preview | None = None) -> Response[Any]:
    newest = await rule_changes.newest(desk.db)
    told = preview.clients if preview is not None else []
    context = {
        "rules": await rules_of(desk, client_id=client_id),
        "newest": newest,
        "clinic_budget_days": newest.rules.budget_days,
        "own_budget_days": None if client_id is None else newest.rules.clients.get(client_id),
        "preview": preview,
        "client": None if client_id is None else await clients.get(desk.db, client_id),
        "clients": await clients.named(desk.db, [each.client_id for each in told]),
        "names": {each.staff_id: each.name for each in await staff.all_of(desk.db)},
        "may_change": client_id is not None or desk.may(Permission.MANAGE_RULES),
        "holds_from": rule_sets.first_day_not_begun(desk.now),
        "dated": lambda day: sentences.day(day, desk.today),
        "address": "/rules" if client_id is None else f"/clients/{client_id}/rules",
    }
    return await desk_page.show(desk, "rules.html", context, here="/rules" if client_id is None else "/caseload")


def _read(form: Mapping[str, str], shape: type[Form]) -> Form:
    """A form's texts as `shape`, numbers as such, so that it is refused by the same words as a JSON body."""
    known = [name for name in shape.__struct_fields__ if name in form]
    body = {name: _number(form[name]) if name in NUMBERS else form[name] for name in known}
    return strict.decode(msgspec.json.encode(body), shape)


def _number(text: str) -> object:
    if not text.strip():
        return None
    # Half of Europe writes a decimal with a comma.
    typed = text.strip().replace(",", ".") if text.count(",") == 1 else text.strip()
    try:
        return msgspec.json.decode(typed.encode(), type=int | float)
    except msgspec.DecodeError:
        return text


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_rules,
            try_rules,
            switch_on,
            show_client_rules,
            try_client_rules,
            switch_on_for_client,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
