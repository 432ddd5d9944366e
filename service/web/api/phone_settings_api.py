"""The JSON API of a phone's own settings: language, reminders, and whether its browser takes messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import Request, Response, get, put
from litestar.di import NamedDependency

from schemas.messaging import PushForm
from schemas.phone_setting import LanguageForm, PhoneSettings, ReminderForm
from service import database, errors
from service.database import Db
from service.facts import client_day
from service.people import audit, clinics, devices, phone_settings
from service.people.access import Permission
from service.people.devices import DeviceClient
from service.web import languages, strict
from service.web.api.phone_api import JSON, access_token
from service.web.api.push_api import key_of, subscription_of
from service.web.limits import Limit
from service.web.services import Services

OWN = Permission.ANSWER_CHECK_INS
BODY_BYTES = 4 * 1024
CHANGES = Limit(30, per_seconds=60)


@asynccontextmanager
async def _own(
    request: Request[Any, Any, Any], services: Services, *, now: datetime
) -> AsyncIterator[tuple[Db, DeviceClient]]:
    token = access_token(request)
    CHANGES.hit(token.digest, now=now)
    async with database.transaction(services.pool, token.clinic_id) as db:
        yield db, await devices.authenticate(db, token.digest, now=now)


async def _reply(db: Db, services: Services, whose: DeviceClient) -> Response[bytes]:
    chosen = await phone_settings.of(db, whose.client_id)
    settings = PhoneSettings(
        language=chosen.language,
        remind_time=chosen.remind_time,
        time_zone=chosen.time_zone,
        email=await phone_settings.email_of(db, services.master, whose.client_id, chosen.email_sealed),
        push=await phone_settings.has_push(db, whose.device_id),
        push_key=key_of(services),
    )
    return Response(msgspec.json.encode(settings), media_type=JSON, headers={"Cache-Control": "no-store"})


async def _record(db: Db, whose: DeviceClient, action: str, *, now: datetime) -> None:
    actor = audit.Actor("device", whose.device_id)
    await audit.record(db, actor, action, now=now, client_id=whose.client_id)


@get("/v1/phone-settings", opt={"access": OWN, "replies": {200: PhoneSettings}}, tags=["Phone settings"])
async def get_phone_settings(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """What the client chose on this phone."""
    now = datetime.now(UTC)
    async with _own(request, services, now=now) as (db, whose):
        await _record(db, whose, "phone_setting.read_own", now=now)
        return await _reply(db, services, whose)


@put(
    "/v1/phone-settings/language",
    opt={"access": OWN, "body": LanguageForm, "replies": {200: PhoneSettings}},
    request_max_body_size=BODY_BYTES,
    tags=["Phone settings"],
)
async def put_language(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Read and be reminded in this language."""
    now = datetime.now(UTC)
    raw = await request.body()
    async with _own(request, services, now=now) as (db, whose):
        form = strict.decode(raw, LanguageForm)
        if form.language not in languages.names():
            fault = errors.FieldFault("language", f"one of {', '.join(languages.names())}")
            raise errors.Invalid("There are no texts in this language.", fields=(fault,))
        await phone_settings.choose_language(db, whose.client_id, form.language, now=now)
        await _record(db, whose, "phone_setting.language", now=now)
        return await _reply(db, services, whose)


@put(
    "/v1/phone-settings/reminder",
    opt={"access": OWN, "body": ReminderForm, "replies": {200: PhoneSettings}},
    request_max_body_size=BODY_BYTES,
    tags=["Phone settings"],
)
async def put_reminder(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Be reminded at this hour of the phone's clock, on days with something to answer; null turns it off.

    A zone that is not known here counts as the clinic's.
    """
    now = datetime.now(UTC)
    raw = await request.body()
    async with _own(request, services, now=now) as (db, whose):
        form = strict.decode(raw, ReminderForm)
        await phone_settings.choose_reminder(
            db,
            services.master,
            whose.client_id,
            remind_time=form.remind_time,
            time_zone=form.time_zone,
            zone=client_day.zone_or_none(form.time_zone) or ZoneInfo((await clinics.get(db)).time_zone),
            email=form.email,
            now=now,
        )
        await _record(db, whose, "phone_setting.reminder", now=now)
        return await _reply(db, services, whose)


@put(
    "/v1/phone-settings/push",
    opt={"access": OWN, "body": PushForm, "replies": {200: PhoneSettings}},
    request_max_body_size=BODY_BYTES,
    tags=["Phone settings"],
)
async def put_push(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Show reminders in this phone's browser."""
    now = datetime.now(UTC)
    raw = await request.body()
    async with _own(request, services, now=now) as (db, whose):
        text, endpoint = subscription_of(raw, services)
        await phone_settings.keep_push(db, services.master, whose, text, endpoint=endpoint, now=now)
        await _record(db, whose, "phone_setting.push", now=now)
        return await _reply(db, services, whose)


ROUTES = [get_phone_settings, put_language, put_reminder, put_push]
