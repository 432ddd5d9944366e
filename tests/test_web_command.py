"""The web process believes what a request says of its origin only where a named proxy passed it on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import httpx
import pytest
from litestar import Litestar, Request, get
from litestar.datastructures import State

from service import config
from service.commands import web
from tests.conftest import A_MASTER_KEY

CLAIMED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@get("/")
async def who(request: Request[None, None, State]) -> str:
    """From where the request seems to come."""
    return f"{request.url.scheme} {request.client.host if request.client else None}"


@pytest.mark.parametrize(
    ("proxies", "peer", "seen"),
    [
        ("", "127.0.0.1", "http 127.0.0.1"),
        ("10.0.0.2", "127.0.0.1", "http 127.0.0.1"),
        ("10.0.0.2", "10.0.0.2", "https 203.0.113.9"),
        ("10.0.0.0/24", "10.0.0.9", "https 203.0.113.9"),
    ],
)
async def test_a_claimed_origin_is_believed_of_named_proxies_only(
    proxies: str, peer: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    settings = config.load({"NEAP_KEY": A_MASTER_KEY, "NEAP_FORWARDED_ALLOW_IPS": proxies})
    served = web.settings_of(Litestar([who], openapi_config=None), settings)
    served.load()
    application = cast("Callable[..., Awaitable[None]]", served.loaded_app)
    transport = httpx.ASGITransport(application, client=(peer, 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://neap.test") as http:
        assert (await http.get("/", headers=CLAIMED)).text == seen
