"""The least an ASGI application can do, 204 and nothing else: how fast the load generator could go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.peers import serving

Message = dict[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer 204 to everything."""
    del scope, receive
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


if __name__ == "__main__":
    serving.serve(app)
