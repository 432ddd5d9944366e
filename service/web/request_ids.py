"""An id for each request: in its log lines, in the header X-Request-ID of its answer, and in what is said of a defect.

Always our own: what a caller sends would stand in the logs, whatever it says.
"""

from __future__ import annotations

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service import ids, logs

HEADER = b"x-request-id"


def carried(app: ASGIApp) -> ASGIApp:
    """The application, each of whose requests carries an id."""

    async def with_id(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = ids.new().hex

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (HEADER, request_id.encode())]
            await send(message)

        token = logs.REQUEST_ID.set(request_id)
        try:
            await app(scope, receive, answer)
        finally:
            logs.REQUEST_ID.reset(token)

    return with_id
