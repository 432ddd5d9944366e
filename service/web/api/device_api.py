"""The JSON API by which a phone becomes a device: enrol with a one-time code, prove its key, be revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency

from schemas.device import Access, EnrolForm, Enrolled, Monitoring, MonitoringForm, Nonce, NonceForm, TokenForm
from service import database, errors, monitoring
from service.keys import tokens
from service.people import audit, clinics, device_tokens, devices, enrolment, sign_in_throttle
from service.people.access import Permission
from service.people.sign_in_throttle import Subject
from service.web import strict
from service.web.api import phone_api
from service.web.limits import Limit
from service.web.services import Services
from service.web.visitors import network_of

BODY_BYTES = 4 * 1024
NO_STORE = {"Cache-Control": "no-store"}

# Codes that were not there or not right, per network; a whole clinic may sit behind one.
FREE_TRIES = 10
# A phone refreshes every quarter of an hour at most; forty tries a minute leave room for a bad network.
PROOFS = Limit(40, per_seconds=60)
# Every access token has a rate limit of its own, so they must not be had at will.
REFRESHES = Limit(6, per_seconds=60)
# Each change tells a team.
CHANGES = Limit(6, per_seconds=60)


def _reply(content: msgspec.Struct, *, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(content), status_code=status, media_type=phone_api.JSON, headers=dict(NO_STORE))


@asynccontextmanager
async def _slowing_guesses(services: Services, clinic_id: UUID, network: str, *, now: datetime) -> AsyncIterator[None]:
    """Count a try for the network and for the clinic as a whole, and give it back unless the code was refused.

    Raises TooMany for the network; a crowded clinic is only slow. Of the network only a keyed hash is kept.
    """
    of_network = services.master.keyed_hash(network.encode(), purpose="enrol_address")
    of_clinic = sign_in_throttle.of_clinic(services.master, "enrol", now=now)
    subjects = [Subject(of_network, FREE_TRIES), of_clinic]
    async with database.committed_now(services.pool, clinic_id) as db:
        crowded = await sign_in_throttle.take(db, subjects, now=now)
    if crowded:
        await asyncio.sleep(sign_in_throttle.SLOWED_SECONDS)
    refused = False
    try:
        yield
    except (errors.Unauthenticated, errors.Gone):
        refused = True
        raise
    finally:
        if not refused:
            async with database.committed_now(services.pool, clinic_id) as db:
                await sign_in_throttle.give_back(db, subjects)


@post(
    "/v1/device/enrol",
    opt={"access": Permission.COME_IN, "body": EnrolForm, "replies": {201: Enrolled}, "problems": (401, 410)},
    request_max_body_size=BODY_BYTES,
    summary="Enrol a device with a one-time code",
    tags=["Device"],
)
async def enrol(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Spend the clinic's one-time code: the device and its first tokens. 401 wrong code, 410 spent or expired."""
    now = datetime.now(UTC)
    form = strict.decode(await request.body(), EnrolForm)
    async with services.pool.acquire() as connection:
        clinic = await clinics.find_by_slug(connection, form.clinic)
    if clinic is None:
        raise errors.Unauthenticated(enrolment.NO_SUCH_CODE)
    async with _slowing_guesses(services, clinic.clinic_id, network_of(request), now=now):
        enrolled = await enrolment.enrol(services.pool, clinic.clinic_id, form, now=now)
    return _reply(enrolled, status=201)


@post(
    "/v1/device/nonce",
    opt={"access": Permission.COME_IN, "body": NonceForm, "replies": {200: Nonce}, "problems": (401,)},
    status_code=200,
    request_max_body_size=BODY_BYTES,
    summary="What the device's key is to sign next",
    tags=["Device"],
)
async def nonce(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Ask for a nonce with the refresh token: good once, for two minutes."""
    now, form = datetime.now(UTC), strict.decode(await request.body(), NonceForm)
    PROOFS.hit(tokens.digest_of(form.refresh_token), now=now)
    return _reply(await device_tokens.issue_nonce(services.pool, form, now=now))


@post(
    "/v1/device/token",
    opt={"access": Permission.COME_IN, "body": TokenForm, "replies": {200: Access}, "problems": (401,)},
    status_code=200,
    request_max_body_size=BODY_BYTES,
    summary="A new access token, proved by the device's key",
    tags=["Device"],
)
async def token(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Prove the key over the nonce: an access token for a quarter of an hour. The nonce is spent either way."""
    now, form = datetime.now(UTC), strict.decode(await request.body(), TokenForm)
    # A device has one refresh token for good.
    REFRESHES.hit(tokens.digest_of(form.refresh_token), now=now)
    return _reply(await device_tokens.refresh_access(services.pool, form, now=now))


@post(
    "/v1/device/revoke",
    opt={"access": Permission.ANSWER_CHECK_INS, "replies": {204: None}},
    status_code=204,
    request_max_body_size=BODY_BYTES,
    summary="End this device",
    tags=["Device"],
)
async def revoke(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[None]:
    """End the device that holds this access token, at once; its tokens are deleted."""
    now, access = datetime.now(UTC), phone_api.access_token(request)
    async with database.transaction(services.pool, access.clinic_id) as db:
        who = await devices.authenticate(db, access.digest, now=now)
        by = audit.Actor("device", who.device_id)
        await devices.revoke(db, who.device_id, by=by, why="by_client", now=now)
    return Response(None, status_code=204, headers=dict(NO_STORE))


@get(
    "/v1/monitoring",
    opt={"access": Permission.ANSWER_CHECK_INS, "replies": {200: Monitoring}, "problems": (409,)},
    summary="Whether answers are watched",
    tags=["Device"],
)
async def get_monitoring(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Whether the client is watched today, or has left."""
    now, access = datetime.now(UTC), phone_api.access_token(request)
    phone_api.READS.hit(access.digest, now=now)
    async with database.transaction(services.pool, access.clinic_id) as db:
        who = await devices.authenticate(db, access.digest, now=now)
        return _reply(await monitoring.read(db, who.client_id, now=now))


@put(
    "/v1/monitoring",
    opt={
        "access": Permission.ANSWER_CHECK_INS,
        "body": MonitoringForm,
        "replies": {200: Monitoring},
        "problems": (409,),
    },
    request_max_body_size=BODY_BYTES,
    summary="Leave monitoring, or come back",
    tags=["Device"],
)
async def put_monitoring(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """Pause from today on by the client's own will, or end that; the team is told. Urgent answers still reach it."""
    now, access = datetime.now(UTC), phone_api.access_token(request)
    CHANGES.hit(access.digest, now=now)
    form = strict.decode(await request.body(), MonitoringForm)
    async with database.transaction(services.pool, access.clinic_id) as db:
        who = await devices.authenticate(db, access.digest, now=now)
        by = audit.Actor("device", who.device_id)
        change = monitoring.come_back if form.monitored else monitoring.leave
        stands = await change(db, who.client_id, by=by, now=now)
    services.hinter.hint()
    return _reply(stands)


ROUTES = [enrol, nonce, token, revoke, get_monitoring, put_monitoring]
