"""Push messages in a person's own browsers: subscribing, ending, and what a browser says when one has arrived."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.alert import Channel
from schemas.messaging import PushForm, PushLine, PushReply, ReceiptForm
from service import database, errors, notify
from service.alerting import receipts
from service.notify import push
from service.notify.endpoint import Refused
from service.people import staff_addresses
from service.people.access import Permission
from service.web import strict
from service.web.api.staff_api import HEADERS, json_reply, made_or_known
from service.web.desk_session import Desk, open_desk
from service.web.services import Services

OWN = Permission.USE_OWN_ACCOUNT
# The first of these names that a browser calls itself by; most also call themselves by others'.
BROWSERS = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "Mac"}


def key_of(services: Services) -> str:
    """The deployment's public key for browsers."""
    return notify.VapidKey(services.master.derived_key(purpose=notify.VAPID)).public


def label_of(user_agent: str) -> str:
    """What a person knows a browser by: "Firefox on Windows"."""
    browser = next((name for mark, name in BROWSERS.items() if mark in user_agent), "A browser")
    return f"{browser} on {next((name for mark, name in SYSTEMS.items() if mark in user_agent), 'a computer')}"


def subscription_of(raw: bytes, services: Services) -> tuple[str, str]:
    """A browser's subscription out of a body, as it is kept, and its endpoint. Raises Invalid naming the field."""
    form = strict.decode(raw, PushForm)
    text = msgspec.json.encode(form).decode()
    try:
        push.read_subscription(text, allowed=services.config.webhook_allow)
    except Refused as error:
        field = error.field if isinstance(error, push.NoSubscription) else "endpoint"
        fault = errors.FieldFault(field, "a subscription as a browser gives it")
        raise errors.Invalid("This subscription cannot be used.", fields=(fault,)) from error
    return text, form.endpoint


async def lines_of(desk: Desk) -> list[PushLine]:
    """The browsers of the person at the desk."""
    return [
        PushLine(subscription_id=each.staff_address_id, label=each.label, created_at=each.created_at)
        for each in await staff_addresses.of(desk.db, [desk.who.staff_id])
        if each.channel is Channel.PUSH
    ]


@get("/v1/push-subscriptions", opt={"access": OWN, "replies": {200: PushReply}}, tags=["Messages"])
async def list_subscriptions(desk: NamedDependency[Desk]) -> Response[bytes]:
    """One's own browsers, and the key with which a further one subscribes."""
    return json_reply(PushReply(key=key_of(desk.services), items=await lines_of(desk)))


@post(
    "/v1/push-subscriptions",
    opt={"access": OWN, "body": PushForm, "replies": {200: PushLine, 201: PushLine}, "problems": (409,)},
    tags=["Messages"],
)
async def subscribe(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Push messages to this browser, too; the same one again changes nothing. Whoever subscribes it last has it."""
    text, endpoint = subscription_of(await request.body(), desk.services)
    label = label_of(request.headers.get("user-agent", ""))
    address_id, is_new = await staff_addresses.add(
        desk.db,
        desk.services.master,
        desk.who.staff_id,
        Channel.PUSH,
        text,
        known_by=endpoint,
        label=label,
        now=desk.now,
    )
    if is_new:
        await desk.record("push.subscribe", object_id=address_id)
    kept = next(each for each in await lines_of(desk) if each.subscription_id == address_id)
    return json_reply(kept, made_or_known(is_new))


@delete(
    "/v1/push-subscriptions/{subscription_id:uuid}",
    opt={"access": OWN, "replies": {204: None}},
    tags=["Messages"],
)
async def unsubscribe(desk: NamedDependency[Desk], subscription_id: FromPath[UUID]) -> None:
    """No push messages to that browser any more."""
    await end(desk, subscription_id)


async def end(desk: Desk, subscription_id: UUID) -> None:
    """End one of the person's own browsers. Raises NotFound."""
    await staff_addresses.end_own(desk.db, subscription_id, staff_id=desk.who.staff_id, now=desk.now)
    await desk.record("push.unsubscribe", object_id=subscription_id)


@post(
    "/v1/receipts",
    opt={"access": Permission.COME_IN, "body": ReceiptForm, "replies": {204: None}, "problems": (401,)},
    tags=["Messages"],
)
async def keep_receipt(
    request: Request[Any, Any, Any], services: NamedDependency[Services], now: NamedDependency[datetime]
) -> Response[None]:
    """A message has arrived: for browsers, and for gateways that pass webhooks on. The receipt itself is the proof."""
    form = strict.decode(await request.body(), ReceiptForm)
    clinic_id, delivery_id = receipts.read(form.receipt, services.master)
    async with database.transaction(services.pool, clinic_id) as db:
        await receipts.mark_delivered(db, delivery_id, now=now)
    return Response(None, status_code=204, headers=HEADERS)


ROUTES = (
    Router(
        path="/",
        route_handlers=[list_subscriptions, subscribe, unsubscribe],
        dependencies={"desk": Provide(open_desk)},
    ),
    Router(path="/", route_handlers=[keep_receipt]),
)
