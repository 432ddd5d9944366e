"""The JSON API for phones: check-ins one by one and in batches, own history, and what is due today."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, Parameter

from schemas.checkin import (
    BatchItemResult,
    BatchReply,
    CheckInForm,
    CheckInPage,
    CheckInReply,
)
from schemas.today import Today
from service import database, errors, history
from service.intake import check_in_intake
from service.keys import tokens
from service.keys.tokens import Token
from service.people import devices
from service.people.access import Permission
from service.people.clinics import ClinicView
from service.web import cursors, languages, problems, strict
from service.web.limits import Limit
from service.web.services import Services

SINGLE_BODY_BYTES = 64 * 1024
BATCH_BODY_BYTES = 1024 * 1024
BATCH_ITEMS = 100
PAGE_ITEMS = 200
JSON = "application/json"

# A phone sends one check-in a day, or a queue of some dozens after weeks offline: a loop gone wild sends far more.
CHECK_INS = Limit(120, per_seconds=60)
BATCHES = Limit(20, per_seconds=60)
READS = Limit(120, per_seconds=60)


UNSAFE = re.compile(rb'"safety"\s*:\s*(true|1\b|"true"|"yes")')


class BatchItem(CheckInForm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A check-in with its own id."""

    id: UUID


BATCH = Annotated[list[BatchItem], msgspec.Meta(max_length=BATCH_ITEMS)]


def access_token(request: Request[Any, Any, Any]) -> Token:
    """The phone's access token. Raises Unauthenticated where there is none of the right shape."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise errors.Unauthenticated("An access token is needed.")
    return tokens.parse(text.strip(), "access")


async def view_of(request: Request[Any, Any, Any], services: Services, token: Token) -> ClinicView:
    """The clinic of a token, in the language that the phone prefers. Raises Unauthenticated where there is none."""
    language = languages.preferred(request.headers.get("accept-language", ""))
    try:
        return await services.views.get(token.clinic_id, language)
    except errors.NotFound as error:
        raise errors.Unauthenticated("This access token is not valid.") from error


async def with_crisis_card(
    request: Request[Any, Any, Any],
    services: Services,
    answer: Callable[[bytes, Token, datetime], Awaitable[Response[bytes]]],
    *,
    limit: Limit,
    is_unsafe: Callable[[bytes], bool],
) -> Response[bytes]:
    """Answer, and put the crisis contacts into whatever goes wrong when the body is unsafe, however wrong otherwise."""
    raw: bytes | None = None
    clinic_id = None
    try:
        raw = await request.body()
        token = access_token(request)
        clinic_id = token.clinic_id
        now = datetime.now(UTC)
        limit.hit(token.digest, now=now)
        return await answer(raw, token, now)
    except Exception as error:  # noqa: BLE001 whatever fails, a person who answered yes gets the card
        # What could not be read may have been a yes; a card too many harms nobody.
        crisis = services.views.crisis(clinic_id) if raw is None or is_unsafe(raw) else None
        return problems.response_of(error, crisis=crisis)


def says_unsafe(raw: bytes) -> bool:
    """Whether a body, however wrong otherwise, holds a positive safety answer; a batch: any of its items."""
    try:
        body = strict.json_body(raw)
    except errors.Invalid:
        # A card too many harms nobody.
        return UNSAFE.search(raw) is not None
    items = body if isinstance(body, list) else [body]
    return any(isinstance(item, dict) and item.get("safety") in (True, "true", "yes", 1) for item in items)


@put(
    "/v1/check-ins/{check_in_id:str}",
    opt={
        "access": Permission.ANSWER_CHECK_INS,
        "body": CheckInForm,
        "replies": {200: CheckInReply, 201: CheckInReply},
        "problems": (409,),
    },
    request_max_body_size=BATCH_BODY_BYTES,  # read further than it is taken, for the sake of the crisis card
    summary="Store one check-in",
    tags=["Check-ins"],
)
async def put_check_in(
    request: Request[Any, Any, Any], check_in_id: FromPath[str], services: NamedDependency[Services]
) -> Response[bytes]:
    """Store a check-in under an id the phone chose: 201 at first, 200 for the same again, 409 for other content."""

    async def answer(raw: bytes, token: Token, now: datetime) -> Response[bytes]:
        if len(raw) > SINGLE_BODY_BYTES:
            raise errors.TooLarge(f"A check-in is at most {SINGLE_BODY_BYTES} bytes.")
        chosen_id, form = uuid_of(check_in_id), strict.decode(raw, CheckInForm)
        view = await view_of(request, services, token)
        accepted = await _accept(services, token, view, chosen_id, form, now=now)
        services.hinter.hint()
        return Response(
            msgspec.json.encode(accepted.reply),
            status_code=201 if accepted.first_time else 200,
            media_type=JSON,
            headers={"Cache-Control": "no-store"},
        )

    return await with_crisis_card(request, services, answer, limit=CHECK_INS, is_unsafe=says_unsafe)


async def _accept(
    services: Services, token: Token, view: ClinicView, check_in_id: UUID, form: CheckInForm, *, now: datetime
) -> check_in_intake.Accepted:
    sent = check_in_intake.sent(token.digest, check_in_id, form, master=services.master, view=view, now=now)
    return await services.door.accept(token.clinic_id, sent)


@post(
    "/v1/check-ins/batch",
    opt={"access": Permission.ANSWER_CHECK_INS, "body": BATCH, "replies": {200: BatchReply}},
    status_code=200,
    request_max_body_size=BATCH_BODY_BYTES,
    summary="Store a queue of check-ins",
    tags=["Check-ins"],
)
async def post_batch(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Store up to 100 check-ins, each in its own transaction; the results stand in the order sent."""

    async def answer(raw: bytes, token: Token, now: datetime) -> Response[bytes]:
        view = await view_of(request, services, token)
        await _authenticate(services, token, now)
        # In a thread: a full body of nothing but brackets takes a second, in which others want to be answered.
        items = await asyncio.to_thread(strict.items_of, raw, most=BATCH_ITEMS)
        results = [await _item_result(services, token, view, item, now=now) for item in items]
        services.hinter.hint()
        reply = BatchReply(
            results=results, monitoring=view.monitoring_notice, crisis=view.crisis if says_unsafe(raw) else None
        )
        return Response(msgspec.json.encode(reply), media_type=JSON, headers={"Cache-Control": "no-store"})

    return await with_crisis_card(request, services, answer, limit=BATCHES, is_unsafe=says_unsafe)


async def _authenticate(services: Services, token: Token, now: datetime) -> None:
    """Refuse the batch as a whole when the token is not valid: the phone then refreshes it and sends again."""
    async with database.transaction(services.pool, token.clinic_id) as db:
        await devices.authenticate(db, token.digest, now=now)


async def _item_result(
    services: Services, token: Token, view: ClinicView, item: bytes, *, now: datetime
) -> BatchItemResult:
    item_id = _told_id(item)
    try:
        form = strict.decode(item, BatchItem)
        accepted = await _accept(services, token, view, form.id, form, now=now)
    except Exception as error:  # noqa: BLE001 one bad item never loses the others
        problem, _ = problems.problem_of(error)
        return BatchItemResult(id=item_id, status=problem.status, problem=problem)
    return BatchItemResult(id=item_id, status=201 if accepted.first_time else 200, check_in=accepted.reply.check_in)


def _told_id(item: bytes) -> str | None:
    try:
        told = strict.json_body(item)
    except errors.Invalid:
        return None
    item_id = told.get("id") if isinstance(told, dict) else None
    return item_id if isinstance(item_id, str) else None


def uuid_of(text: str) -> UUID:
    """An id out of a path. Raises Invalid."""
    try:
        return msgspec.convert(text, UUID)
    except msgspec.ValidationError as error:
        raise errors.Invalid("The id was refused.", fields=(errors.FieldFault("id", "must be a UUID"),)) from error


@get(
    "/v1/check-ins",
    opt={"access": Permission.ANSWER_CHECK_INS, "replies": {200: CheckInPage}},
    summary="Own history, newest first",
    tags=["Check-ins"],
)
async def get_check_ins(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    before: FromQuery[str | None] = None,
    limit: Annotated[int, Parameter(ge=1, le=PAGE_ITEMS)] = 50,
) -> Response[bytes]:
    """One page of the client's own check-ins; `next` of the reply is `before` of the following page."""
    token, now = access_token(request), datetime.now(UTC)
    READS.hit(token.digest, now=now)
    position = None if before is None else cursors.decode(before, field="before")
    view = await view_of(request, services, token)
    async with database.transaction(services.pool, token.clinic_id) as db:
        reader = await devices.authenticate(db, token.digest, now=now)
        page = await history.page_of(
            db, reader, before=position, limit=limit, master=services.master, view=view, now=now
        )
    encoded = CheckInPage(items=page.items, next=cursors.encode(page.last) if page.last else None)
    return Response(msgspec.json.encode(encoded), media_type=JSON, headers={"Cache-Control": "no-store"})


@get(
    "/v1/today",
    opt={"access": Permission.ANSWER_CHECK_INS, "replies": {200: Today}},
    summary="What is due today",
    tags=["Check-ins"],
)
async def get_today(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    time_zone: FromQuery[str | None] = None,
) -> Response[bytes]:
    """What the phone shows when it opens; `time_zone` is the phone's, the client's last known one without it."""
    token, now = access_token(request), datetime.now(UTC)
    READS.hit(token.digest, now=now)
    view = await view_of(request, services, token)
    async with database.transaction(services.pool, token.clinic_id) as db:
        reader = await devices.authenticate(db, token.digest, now=now)
        today = await history.today_of(db, reader, time_zone=time_zone, master=services.master, view=view, now=now)
    return Response(msgspec.json.encode(today), media_type=JSON, headers={"Cache-Control": "no-store"})


ROUTES = [put_check_in, post_batch, get_check_ins, get_today]
