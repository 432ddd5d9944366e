"""The JSON API of instruments: what a phone answers, what staff read of it, and what a clinic brings in and chooses."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.instrument import Instrument
from schemas.instrument_response import (
    ChosenRhythm,
    ClientInstruments,
    InstrumentList,
    ResponseForm,
    ResponseReply,
    RhythmForm,
)
from service import database, errors, history, instrument_settings
from service.desk import instruments_page
from service.instruments import catalogue
from service.intake import instrument_intake
from service.keys.tokens import Token
from service.people import devices
from service.people.access import Permission
from service.web import strict
from service.web.api.phone_api import (
    BATCH_BODY_BYTES,
    READS,
    SINGLE_BODY_BYTES,
    access_token,
    uuid_of,
    view_of,
    with_crisis_card,
)
from service.web.api.staff_api import json_reply, made_or_known
from service.web.desk_session import Desk, open_desk
from service.web.limits import Limit
from service.web.services import Services

RESPONSES = Limit(120, per_seconds=60)
TAGS = ["Instruments"]
TOML = "application/toml"
# An answer in a body that is no JSON any more.
ANSWER = re.compile(rb'"(?P<item>[a-z0-9_]{1,32})"\s*:\s*"?(?P<value>[0-9]{1,4})\b')


def says_unsafe(raw: bytes) -> bool:
    """Whether a body, however wrong otherwise, holds an urgent answer.

    What an answer to a clinic's own instrument means, only the database knows: any but 0 counts. A card too many harms
    nobody.
    """
    try:
        body = strict.json_body(raw)
    except errors.Invalid:
        told = [(found["item"].decode(), int(found["value"])) for found in ANSWER.finditer(raw)]
        codes = [code for code, _ in catalogue.shipped() if code.encode() in raw]
        return any(
            _is_urgent(code, item, value) for item, value in told if item != "version" for code in codes or ["own"]
        )
    if not isinstance(body, dict) or not isinstance(answers := body.get("answers"), dict):
        return False
    code = body.get("instrument")
    return any(_is_urgent(code, str(item), _number(value)) for item, value in answers.items())


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, bool | int | float | str) else 0
    except ValueError:
        return 0
    except OverflowError:  # a whole number that no float holds
        return math.inf if isinstance(value, int) and value > 0 else 0


def _is_urgent(code: object, item: str, value: float) -> bool:
    shipped = [each for (known, _), each in catalogue.shipped().items() if known == code]
    if not shipped:
        return value > 0
    return any(urgent.item == item and value > urgent.above for each in shipped for urgent in each.urgent)


@put(
    "/v1/instrument-responses/{response_id:str}",
    opt={
        "access": Permission.ANSWER_CHECK_INS,
        "body": ResponseForm,
        "replies": {200: ResponseReply, 201: ResponseReply},
        "problems": (409,),
    },
    request_max_body_size=BATCH_BODY_BYTES,  # read further than it is taken, for the sake of the crisis card
    summary="Store one response to an instrument",
    tags=TAGS,
)
async def put_response(
    request: Request[Any, Any, Any], response_id: FromPath[str], services: NamedDependency[Services]
) -> Response[bytes]:
    """Store a response under an id the phone chose: 201 at first, 200 for the same again, 409 for other content."""

    async def answer(raw: bytes, token: Token, now: datetime) -> Response[bytes]:
        if len(raw) > SINGLE_BODY_BYTES:
            raise errors.TooLarge(f"A response is at most {SINGLE_BODY_BYTES} bytes.")
        chosen_id, form = uuid_of(response_id), strict.decode(raw, ResponseForm)
        view = await view_of(request, services, token)
        async with database.transaction(services.pool, token.clinic_id) as db:
            accepted = await instrument_intake.accept(
                db, token.digest, chosen_id, form, master=services.master, view=view, now=now
            )
        services.hinter.hint()
        return json_reply(accepted.reply, made_or_known(accepted.first_time))

    return await with_crisis_card(request, services, answer, limit=RESPONSES, is_unsafe=says_unsafe)


@get(
    "/v1/instruments/{code:str}",
    opt={"access": Permission.ANSWER_CHECK_INS, "replies": {200: Instrument}},
    summary="One instrument as it is asked",
    tags=TAGS,
)
async def get_instrument(
    request: Request[Any, Any, Any], code: FromPath[str], services: NamedDependency[Services]
) -> Response[bytes]:
    """The newest version of an instrument: every item and answer in its exact words."""
    token, now = access_token(request), datetime.now(UTC)
    READS.hit(token.digest, now=now)
    await view_of(request, services, token)
    async with database.transaction(services.pool, token.clinic_id) as db:
        reader = await devices.authenticate(db, token.digest, now=now)
        return json_reply(await history.instrument_of(db, reader, code, now=now))


@get(
    "/v1/clients/{client_id:uuid}/instruments",
    opt={"access": Permission.SEE_CLIENTS, "replies": {200: ClientInstruments}},
    summary="A client's instruments: totals, changes, and every time one was asked",
    tags=TAGS,
)
async def get_client_instruments(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """Totals by time with their bands, what changed and by which rule, and what was due, answered and missed."""
    await desk.require_client(client_id)
    view = await instruments_page.read(desk.db, client_id, now=desk.now)
    await desk.record("client.read_instruments", client_id=client_id)
    return json_reply(instruments_page.reply_of(view))


@get(
    "/v1/instruments",
    opt={"access": Permission.MANAGE_SETTINGS, "replies": {200: InstrumentList}},
    summary="The clinic's instruments",
    tags=TAGS,
)
async def list_instruments(desk: NamedDependency[Desk]) -> Response[bytes]:
    """Every instrument that ships or that the clinic brought in, and how often it is asked."""
    return json_reply(InstrumentList(items=await instrument_settings.all_of(desk.db)))


@post(
    "/v1/instruments",
    opt={
        "access": Permission.MANAGE_SETTINGS,
        "body": Instrument,
        "replies": {200: Instrument, 201: Instrument},
        "problems": (409,),
    },
    summary="Bring in an instrument of the clinic's own",
    tags=TAGS,
)
async def add_instrument(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Keep a version of it for good: 201 at first, 200 for the same again. Takes JSON, or the TOML of a data file."""
    raw = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == TOML:
        raw = instrument_settings.json_of(raw)
    instrument = strict.decode(raw, Instrument)
    first_time = await instrument_settings.add(desk.db, instrument, by=desk.actor, now=desk.now)
    return json_reply(instrument, made_or_known(first_time))


@put(
    "/v1/instruments/{code:str}/schedule",
    opt={"access": Permission.MANAGE_SETTINGS, "body": RhythmForm, "replies": {200: ChosenRhythm}},
    summary="Choose how often an instrument is asked",
    tags=TAGS,
)
async def put_rhythm(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], code: FromPath[str]
) -> Response[bytes]:
    """Ask it every so many client days in a phase, or never, from today or a later day on."""
    form = strict.decode(await request.body(), RhythmForm)
    return json_reply(await instrument_settings.choose(desk.db, code, form, by=desk.actor, now=desk.now))


ROUTES = (
    put_response,
    get_instrument,
    Router(
        path="/",
        route_handlers=[get_client_instruments, list_instruments, add_instrument, put_rhythm],
        dependencies={"desk": Provide(open_desk)},
    ),
)
