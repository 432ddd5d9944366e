"""A person's own account: who they are here, recovery codes, messages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.staff import MessageTimes, MessageTimesForm, Role, Tempo
from service import errors
from service.alerting import waiting
from service.notify import texts
from service.people import calendar_feeds, message_times, recovery_codes, sign_in, staff
from service.people.access import Permission
from service.web import desk_page, page_problems, problems, strict
from service.web.api import push_api
from service.web.api.staff_api import json_reply
from service.web.dashboard.staff_auth import door_of
from service.web.desk_session import Desk, form_of, open_desk
from service.web.pages import go_to
from service.web.visitors import visitor_of

OWN = {"access": Permission.USE_OWN_ACCOUNT}
# Whose sessions a calendar can hold; whoever has an address in use may end it in any role.
HOLD_SESSIONS = frozenset({Role.THERAPIST, Role.PRESCRIBER, Role.NURSE})
TEMPOS = {Tempo.NOW: "at once", Tempo.WITHIN_3_HOURS: "within three hours", Tempo.DAILY: "in the morning"}


@get("/account", opt=OWN)
async def show_account(desk: NamedDependency[Desk]) -> Response[Any]:
    """Name, roles, and how many recovery codes are left."""
    return await _account_page(desk)


@post("/account/recovery-codes", opt=OWN)
async def renew_codes(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Ten fresh recovery codes, for a current code of the authenticator; shown this once."""
    code = (await form_of(request)).get("code", "")
    door = door_of(desk.services)
    try:
        proved = await sign_in.prove_again(desk.db, door, visitor_of(request), desk.who, code, now=desk.now)
    except errors.TooMany as refusal:
        page = await _account_page(desk, message=refusal.message, status=429)
        page.headers.update(problems.retry_after(refusal))
        return page
    if not proved:
        return await _account_page(desk, message=sign_in.WRONG_CODE, status=400)
    codes = await recovery_codes.renew(desk.db, desk.services.master, desk.who.staff_id, now=desk.now)
    await desk.record("staff.renew_recovery_codes", object_id=desk.who.staff_id)
    return await desk_page.show(desk, "recovery_codes_again.html", {"codes": codes}, here="/account")


@post("/account/language", opt=OWN)
async def choose_language(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """The language in which messages outside the inbox are written."""
    language = (await form_of(request)).get("language", "")
    if language not in texts.languages():
        raise errors.Invalid("Choose a language.", fields=(errors.FieldFault("language", "one of those offered"),))
    await staff.speak(desk.db, desk.who.staff_id, language)
    await desk.record("staff.choose_language", object_id=desk.who.staff_id)
    return go_to("/account")


@post("/account/times", opt=OWN)
async def choose_times(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """How soon to be told of what is not urgent, and when not."""
    form = await form_of(request)
    told = {name: form.get(name, "").strip() or None for name in ("quiet_from", "quiet_until")}
    first = form.get("first_channel", "") or None
    body = msgspec.json.encode({"tempo": form.get("tempo", ""), "first_channel": first, **told})
    await times_chosen(desk, strict.decode(body, MessageTimesForm))
    return go_to("/account")


async def times_chosen(desk: Desk, times: MessageTimes) -> None:
    """Keep a person's times and write it down. Raises as `waiting.choose` does."""
    await waiting.choose(desk.db, desk.who.staff_id, times, now=desk.now)
    await desk.record("staff.choose_times", object_id=desk.who.staff_id)


@get("/v1/account/times", opt={**OWN, "replies": {200: MessageTimes}}, tags=["Staff"])
async def get_times(desk: NamedDependency[Desk]) -> Response[bytes]:
    """How soon one is told of what is not urgent, and when not."""
    return json_reply(await _times_of(desk))


@put("/v1/account/times", opt={**OWN, "body": MessageTimesForm, "replies": {200: MessageTimes}}, tags=["Staff"])
async def put_times(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Choose it anew; what waits by the former choice goes out now."""
    await times_chosen(desk, strict.decode(await request.body(), MessageTimesForm))
    return json_reply(await _times_of(desk))


async def _times_of(desk: Desk) -> MessageTimes:
    found = (await message_times.of(desk.db, [desk.who.staff_id]))[desk.who.staff_id]
    return msgspec.convert(found, MessageTimes, from_attributes=True)


@post("/account/push/{subscription_id:uuid}/end", opt=OWN)
async def end_push(desk: NamedDependency[Desk], subscription_id: FromPath[UUID]) -> Response[Any]:
    """No push messages to that browser any more."""
    await push_api.end(desk, subscription_id)
    return go_to("/account")


async def _account_page(desk: Desk, *, message: str | None = None, status: int = 200) -> Response[str]:
    left = await recovery_codes.count_left(desk.db, desk.who.staff_id)
    since = await calendar_feeds.since(desk.db, staff_id=desk.who.staff_id)
    context = {
        "codes_left": left,
        "message": message,
        "calendar_since": since,
        "has_calendar": since is not None or not HOLD_SESSIONS.isdisjoint(desk.who.roles),
        "push_key": push_api.key_of(desk.services),
        "browsers": await push_api.lines_of(desk),
        "languages": texts.languages(),
        "times": await _times_of(desk),
        "tempos": TEMPOS,
        "language": (await staff.get(desk.db, desk.who.staff_id)).language,
    }
    return await desk_page.show(desk, "account.html", context, here="/account", status=status)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_account, renew_codes, choose_language, choose_times, end_push],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
    Router(path="/", route_handlers=[get_times, put_times], dependencies={"desk": Provide(open_desk)}),
)
