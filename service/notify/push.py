"""Web push (RFC 8030): to the browser's push service, encrypted for the browser alone (RFC 8291), signed (RFC 8292).

Encryption is http-ece's, the signature py-vapid's. Their senders are not used: a subscription's address comes from a
browser, so it goes through the same guard as a webhook's.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from email.utils import parseaddr
from http import HTTPStatus

import http_ece
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from py_vapid import Vapid02

from schemas.alert import Channel
from schemas.staff import PushSubscription
from service import base64url
from service.notify import endpoint, texts
from service.notify.endpoint import Refused
from service.notify.message import Dead, Message, Result
from service.notify.outward import Outward

MINUTE = 60
# Whoever has their browser closed for longer has had an e-mail by then.
TTL_SECONDS = 4 * 60 * MINUTE
TOKEN_LASTS = timedelta(hours=12)
# What another try would have the same of: a message that is not taken, a signature by a key that the browser did not
# subscribe with (RFC 8030, 5; RFC 8292, 4.2). The browser is not gone by it: a clock of ours that is wrong brings these
# answers, too, and from every push service at once.
FINAL = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    }
)
POINT_BYTES, AUTH_BYTES = 65, 16
# The order of P-256's group (FIPS 186-5, D.1.2.3).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Draws enough bits that the remainder is even (FIPS 186-5, A.2.1).
SEED_BYTES = 48


class VapidKey:
    """The deployment's key that says to push services who we are, derived from a 32-byte secret of the master key's."""

    def __init__(self, secret: bytes) -> None:
        drawn = HKDF(hashes.SHA256(), SEED_BYTES, salt=None, info=b"neap web push vapid").derive(secret)
        self.private = ec.derive_private_key(int.from_bytes(drawn) % (ORDER - 1) + 1, ec.SECP256R1())

    @property
    def public(self) -> str:
        """What a browser subscribes with: base64url, without padding."""
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return base64url.encode(point)


class NoSubscription(Refused):
    """No browser gave this; `field`: what it would have given otherwise."""

    def __init__(self, field: str) -> None:
        super().__init__("the subscription is none")
        self.field = field


def read_subscription(text: str, *, allowed: AbstractSet[str]) -> PushSubscription:
    """A browser's subscription. Raises Refused for what could never be sent to, NoSubscription for what is none."""
    try:
        subscription = msgspec.json.decode(text, type=PushSubscription)
    except msgspec.DecodeError as error:
        raise NoSubscription("") from error
    try:
        if len(point := base64url.decode(subscription.keys.p256dh)) != POINT_BYTES:
            raise NoSubscription("keys.p256dh")
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise NoSubscription("keys.p256dh") from error
    try:
        if len(base64url.decode(subscription.keys.auth)) != AUTH_BYTES:
            raise NoSubscription("keys.auth")
    except ValueError as error:
        raise NoSubscription("keys.auth") from error
    endpoint.read(subscription.endpoint, allowed=allowed)
    return subscription


def contact_of(*, mail_from: str | None, base_url: str) -> str:
    """Whom a push service may ask about us (RFC 8292, 2.1): the sender of letters, else the page.

    Apple's answers 403 to an address at localhost, which is left where the page is not https: on one machine alone.
    """
    if mail_from is not None:
        return f"mailto:{parseaddr(mail_from)[1]}"
    return base_url if base_url.startswith("https://") else "mailto:neap@localhost"


class Push:
    """Sends to browsers; one whose push service says 404 or 410 is gone for good, and `FINAL` is not asked again."""

    channel = Channel.PUSH
    at_once = 20
    # Short: the person's next channel waits behind it.
    retry_after_seconds = (5, 30, 2 * MINUTE)

    def __init__(self, *, key: VapidKey, contact: str, allowed: AbstractSet[str]) -> None:
        # Not py-vapid's own look at the contact: it knows no https address with a port.
        self._vapid = Vapid02(key.private, conf={"no-strict": True})
        self._contact = contact
        self._allowed = allowed
        self._outward = Outward(allowed=allowed, gone={HTTPStatus.NOT_FOUND, HTTPStatus.GONE}, final=FINAL)

    async def send(self, message: Message, *, now: datetime) -> Result:
        """One attempt at one browser."""
        try:
            subscription = read_subscription(message.to, allowed=self._allowed)
        except Refused as error:
            return Dead(str(error))
        url = endpoint.read(subscription.endpoint, allowed=self._allowed)
        claims = {
            "sub": self._contact,
            "aud": f"{url.scheme}://{url.netloc.decode()}",
            "exp": int((now + TOKEN_LASTS).timestamp()),
        }
        headers = {
            "content-type": "application/octet-stream",
            "content-encoding": "aes128gcm",
            "ttl": str(_seconds_left(message, now=now)),
            "urgency": "high",
            # RFC 8030, 5.4: of two tries that a push service still holds, the later takes the place of the first.
            "topic": base64url.encode(message.delivery_id.bytes),
            "authorization": self._vapid.sign(claims)["Authorization"],
        }
        return await self._outward.post(subscription.endpoint, _encrypted(message, subscription), headers)


def _seconds_left(message: Message, *, now: datetime) -> int:
    """How long the push service may keep it for a browser that is closed."""
    if message.expires_at is None:
        return TTL_SECONDS
    return max(0, min(TTL_SECONDS, int((message.expires_at - now).total_seconds())))


def _encrypted(message: Message, subscription: PushSubscription) -> bytes:
    text = texts.text_of(message)
    shown = {
        "id": message.delivery_id,
        "title": text.subject,
        "body": text.body,
        "link": message.link,
        "receipt": message.receipt,
    }
    sealed: bytes = http_ece.encrypt(
        msgspec.json.encode(shown),
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=base64url.decode(subscription.keys.p256dh),
        auth_secret=base64url.decode(subscription.keys.auth),
        version="aes128gcm",
    )
    return sealed
