"""A phone as a program: enrols, proves its key, sends check-ins; what the page does in a browser, over httpx."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service import ids


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Phone:
    """One device of one client; `http` has the server's address as its base."""

    http: httpx.AsyncClient
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    device_id: UUID | None = None
    refresh_token: str = ""
    access_token: str = ""

    @property
    def public_key(self) -> str:
        """The uncompressed point, base64url."""
        return base64url(self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}

    async def try_enrol(self, clinic: str, code: str) -> httpx.Response:
        """Spend the code; whatever the server says."""
        body = {"clinic": clinic, "code": code, "public_key": self.public_key}
        reply = await self.http.post("/v1/device/enrol", json=body)
        if reply.status_code == 201:
            told = reply.json()
            self.device_id = UUID(told["device_id"])
            self.refresh_token, self.access_token = told["refresh_token"], told["access_token"]
        return reply

    async def enrol(self, clinic: str, code: str) -> None:
        (await self.try_enrol(clinic, code)).raise_for_status()

    async def nonce(self) -> str:
        reply = await self.http.post("/v1/device/nonce", json={"refresh_token": self.refresh_token})
        nonce: str = reply.raise_for_status().json()["nonce"]
        return nonce

    def proof(self, nonce: str, *, text: str | None = None) -> dict[str, str]:
        """The body of a token request: refresh token, nonce, signature r‖s."""
        message = text or f"neap-token-v1\n{self.device_id}\n{nonce}"
        r, s = decode_dss_signature(self.key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
        signature = base64url(r.to_bytes(32) + s.to_bytes(32))
        return {"refresh_token": self.refresh_token, "nonce": nonce, "signature": signature}

    async def refresh(self) -> None:
        reply = await self.http.post("/v1/device/token", json=self.proof(await self.nonce()))
        self.access_token = reply.raise_for_status().json()["access_token"]

    async def check_in(self, form: dict[str, object], check_in_id: UUID | None = None) -> httpx.Response:
        """Send one check-in, as sent now."""
        body = {"sent_at": datetime.now(UTC).isoformat()} | form
        return await self.http.put(f"/v1/check-ins/{check_in_id or ids.new()}", json=body, headers=self.headers)

    async def batch(self, items: Sequence[dict[str, object]]) -> httpx.Response:
        """Send a queue; each item holds its own id."""
        return await self.http.post("/v1/check-ins/batch", json=list(items), headers=self.headers)

    async def revoke(self) -> httpx.Response:
        return await self.http.post("/v1/device/revoke", headers=self.headers)
