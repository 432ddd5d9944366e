"""The clinic's rules over JSON: what holds, what a change would have done, changing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.rules import (
    ClientRuleChangeForm,
    Preview,
    PreviewForm,
    RuleChangeForm,
    RulesReply,
    RuleVersion,
)
from service.people import access
from service.people.access import Permission
from service.rulebook import rule_changes, rule_preview
from service.rules import rule_sets
from service.rules.rule_sets import Choices, RuleSet
from service.web import strict
from service.web.api.staff_api import json_reply
from service.web.desk_session import Desk, open_desk

Caller = Request[Any, Any, Any]
SEE, MANAGE = {"access": Permission.SEE_RULES}, {"access": Permission.MANAGE_RULES}
TREAT = {"access": Permission.MANAGE_TREATMENT}


async def rules_of(desk: Desk, *, client_id: UUID | None = None) -> RulesReply:
    """What holds today for the clinic or a client, and the versions that the person may read about."""
    seen: Sequence[UUID] = [client_id] if client_id is not None else await _visible(desk)
    holding = rule_sets.on(await rule_sets.of(desk.db), desk.today).rules
    versions = await rule_changes.history(desk.db, desk.services.master, client_ids=seen)
    return RulesReply(
        budget_days=holding.budget_days if client_id is None else holding.budget_of(client_id),
        versions=versions,
    )


async def preview_of(desk: Desk, budget_days: float, *, client_id: UUID | None = None) -> Preview:
    """What another number would have done; of the clients it names, those that the person may see."""

    def change(rules: Choices) -> Choices:
        if client_id is None:
            return msgspec.structs.replace(rules, budget_days=budget_days)
        return msgspec.structs.replace(rules, clients={**rules.clients, client_id: budget_days})

    preview = await rule_preview.of(desk.db, change, client_id=client_id, now=desk.now)
    seen = set(await _visible(desk))
    await desk.record("rules.preview", client_id=client_id)
    return msgspec.structs.replace(preview, clients=[each for each in preview.clients if each.client_id in seen])


async def _visible(desk: Desk) -> list[UUID]:
    who = desk.reach_or_none(Permission.SEE_CLIENTS)
    return [] if who is None else await access.visible_clients(desk.db, who, now=desk.now)


async def changed(desk: Desk, form: RuleChangeForm) -> RuleSet:
    """Choose the clinic's number."""
    added = await rule_changes.change(
        desk.db,
        form.budget_days,
        reason=form.reason,
        after_version=form.after_version,
        by=desk.who.staff_id,
        now=desk.now,
    )
    await desk.record("rules.change")
    return added


async def changed_for_client(desk: Desk, client_id: UUID, form: ClientRuleChangeForm) -> RuleSet:
    """Choose a client's number, or the clinic's again."""
    added = await rule_changes.change_for_client(
        desk.db,
        client_id,
        form.budget_days,
        reason=form.reason,
        after_version=form.after_version,
        by=desk.who.staff_id,
        master=desk.services.master,
        now=desk.now,
    )
    await desk.record("rules.change", client_id=client_id)
    return added


@get("/v1/rules", opt={**SEE, "replies": {200: RulesReply}}, tags=["Rules"])
async def get_rules(desk: NamedDependency[Desk]) -> Response[bytes]:
    """The rules that hold today, and every version; of changes for one client those of the clients one sees."""
    return json_reply(await rules_of(desk))


@post("/v1/rules/preview", opt={**SEE, "body": PreviewForm, "replies": {200: Preview}}, tags=["Rules"])
async def preview_rules(request: Caller, desk: NamedDependency[Desk]) -> Response[bytes]:
    """What another number would have done in the last 90 days: how many alerts, for whom, how many to read."""
    form = strict.decode(await request.body(), PreviewForm)
    return json_reply(await preview_of(desk, form.budget_days))


@post(
    "/v1/rules",
    opt={**MANAGE, "body": RuleChangeForm, "replies": {201: RuleVersion}, "problems": (409,)},
    tags=["Rules"],
)
async def change_rules(request: Caller, desk: NamedDependency[Desk]) -> Response[bytes]:
    """Choose the clinic's number, with a reason; it holds from the next client day on, and changes none before."""
    added = await changed(desk, strict.decode(await request.body(), RuleChangeForm))
    return json_reply(await _version(desk, added.version), 201)


@get("/v1/clients/{client_id:uuid}/rules", opt={**TREAT, "replies": {200: RulesReply}}, tags=["Rules"])
async def get_client_rules(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """The number that holds for a client, and every version."""
    await desk.require_client(client_id)
    await desk.record("rules.read", client_id=client_id)
    return json_reply(await rules_of(desk, client_id=client_id))


@post(
    "/v1/clients/{client_id:uuid}/rules/preview",
    opt={**TREAT, "body": PreviewForm, "replies": {200: Preview}},
    tags=["Rules"],
)
async def preview_client_rules(
    request: Caller, desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """What another number would have done for this client in the last 90 days."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), PreviewForm)
    return json_reply(await preview_of(desk, form.budget_days, client_id=client_id))


@post(
    "/v1/clients/{client_id:uuid}/rules",
    opt={**TREAT, "body": ClientRuleChangeForm, "replies": {201: RuleVersion}, "problems": (409,)},
    tags=["Rules"],
)
async def change_client_rules(
    request: Caller, desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """Choose a client's number, or the clinic's again, with a reason."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), ClientRuleChangeForm)
    added = await changed_for_client(desk, client_id, form)
    return json_reply(await _version(desk, added.version, client_id=client_id), 201)


async def _version(desk: Desk, version: int, *, client_id: UUID | None = None) -> RuleVersion:
    seen = [] if client_id is None else [client_id]
    every = await rule_changes.history(desk.db, desk.services.master, client_ids=seen)
    return next(each for each in every if each.version == version)


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            get_rules,
            preview_rules,
            change_rules,
            get_client_rules,
            preview_client_rules,
            change_client_rules,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
