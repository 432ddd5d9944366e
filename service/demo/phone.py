"""A simulated phone: enrols with a code, proves its key, sends check-ins, all through the real API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from schemas.device import Access, Enrolled, Nonce
from schemas.instrument import Instrument
from schemas.today import Today
from service import base64url, ids
from service.people import device_tokens

# Ask for a fresh token while the old one is still good for a while.
REFRESH_BEFORE = timedelta(minutes=2)


class Handset(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated phone keeps: whose it is, its key (PKCS #8, base64) and its refresh token."""

    person: str
    device_id: UUID
    private_key: str
    refresh_token: str


class NotEnrolled(Exception):
    """The server does not know this phone, or no longer: it must be enrolled again."""


class Phone:
    """One phone over one HTTP client."""

    def __init__(self, http: httpx.AsyncClient, handset: Handset) -> None:
        self.handset = handset
        self._http = http
        self._key = _private_key(handset)
        self._access = Access(access_token="", expires_at=datetime.min.replace(tzinfo=UTC))

    async def today(self, *, now: datetime) -> Today:
        """What the phone shows when it opens."""
        reply = await self._http.get("/v1/today", headers=await self._authorised(now=now))
        return msgspec.json.decode(_good(reply).content, type=Today)

    async def send(self, answer: Mapping[str, object], *, now: datetime) -> UUID:
        """Send one check-in; its id."""
        check_in_id = ids.new()
        headers = await self._authorised(now=now)
        _good(await self._http.put(f"/v1/check-ins/{check_in_id}", json=dict(answer), headers=headers))
        return check_in_id

    async def instrument(self, code: str, *, now: datetime) -> Instrument:
        """An instrument as it is asked."""
        reply = await self._http.get(f"/v1/instruments/{code}", headers=await self._authorised(now=now))
        return msgspec.json.decode(_good(reply).content, type=Instrument)

    async def respond(self, response: Mapping[str, object], *, now: datetime) -> None:
        """Send one response to an instrument."""
        address = f"/v1/instrument-responses/{ids.new()}"
        _good(await self._http.put(address, json=dict(response), headers=await self._authorised(now=now)))

    async def _authorised(self, *, now: datetime) -> dict[str, str]:
        if not self._access.access_token or self._access.expires_at - REFRESH_BEFORE < now:
            await self._refresh()
        return {"Authorization": f"Bearer {self._access.access_token}"}

    async def _refresh(self) -> None:
        asked = await self._http.post("/v1/device/nonce", json={"refresh_token": self.handset.refresh_token})
        nonce = msgspec.json.decode(_good(asked).content, type=Nonce).nonce
        text = device_tokens.signed_text(self.handset.device_id, nonce)
        r, s = decode_dss_signature(self._key.sign(text, ec.ECDSA(hashes.SHA256())))
        signature = base64url.encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        proved = await self._http.post(
            "/v1/device/token",
            json={"refresh_token": self.handset.refresh_token, "nonce": nonce, "signature": signature},
        )
        self._access = msgspec.json.decode(_good(proved).content, type=Access)


async def enrol(http: httpx.AsyncClient, person: str, *, clinic: str, code: str) -> Handset:
    """Make a key and spend a code for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    reply = await http.post(
        "/v1/device/enrol", json={"clinic": clinic, "code": code, "public_key": base64url.encode(point)}
    )
    enrolled = msgspec.json.decode(_good(reply).content, type=Enrolled)
    private = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Handset(
        person=person,
        device_id=enrolled.device_id,
        private_key=base64.b64encode(private).decode(),
        refresh_token=enrolled.refresh_token,
    )


def load(file: Path) -> dict[str, Handset]:
    """The handsets of former starts by person; none where the file is missing or of another version."""
    try:
        handsets = msgspec.json.decode(file.read_bytes(), type=list[Handset])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}
    return {handset.person: handset for handset in handsets}


def save(file: Path, handsets: Mapping[str, Handset]) -> None:
    """Keep the handsets for the next start, readable by the owner only."""
    unfinished = file.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.encode(list(handsets.values())))
    unfinished.rename(file)


def _private_key(handset: Handset) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_der_private_key(base64.b64decode(handset.private_key), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _good(reply: httpx.Response) -> httpx.Response:
    if reply.status_code == HTTPStatus.UNAUTHORIZED:
        raise NotEnrolled
    return reply.raise_for_status()
