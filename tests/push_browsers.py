"""Browsers that take push messages."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

import http_ece
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.alert import Channel
from service.alerting.writing import Sending
from service.notify.push import Push, VapidKey
from tests.builders import MASTER
from tests.senders import an_email_channel
from tests.sinks import Hook

KEY = VapidKey(bytes(32))


def push_and_email(*, push_port: int, mail_port: int) -> Sending:
    """What sends to these browsers, and letters behind them."""
    push = Push(key=KEY, contact="mailto:neap@x.example", allowed={f"127.0.0.1:{push_port}"})
    return Sending({Channel.EMAIL: an_email_channel(mail_port), Channel.PUSH: push}, MASTER, "https://neap.example")


@dataclass
class Browser:
    """A browser's side of a subscription."""

    endpoint: str
    private: ec.EllipticCurvePrivateKey
    auth: bytes

    @property
    def subscription(self) -> str:
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        keys = {"p256dh": base64url(point), "auth": base64url(self.auth)}
        return msgspec.json.encode({"endpoint": self.endpoint, "expirationTime": None, "keys": keys}).decode()

    def read(self, hook: Hook) -> dict[str, str]:
        """What the push service was given, decrypted."""
        plain: bytes = http_ece.decrypt(
            hook.body, private_key=self.private, auth_secret=self.auth, version=hook.headers["content-encoding"]
        )
        return msgspec.json.decode(plain, type=dict[str, str])


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def a_browser(port: int, name: str = "one") -> Browser:
    private = ec.generate_private_key(ec.SECP256R1())
    return Browser(f"http://127.0.0.1:{port}/push/{name}", private, os.urandom(16))
