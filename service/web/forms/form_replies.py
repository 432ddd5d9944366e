"""Forms that a page sends by itself: where a browser would be sent on, the page is told where to go.

`desk_forms.js` sends forms with a header of ours, so that what fails is told beside what was typed. A redirection would
be followed on the way, and the page there read twice: so its address goes in a header. What was refused comes as a
part of a page (`page_problems.handle`); what was overtaken as the page as it is by now, where the page asks for that.
Without the script forms are answered as ever.
"""

from __future__ import annotations

from http import HTTPStatus

from litestar.types import ASGIApp, Message, Receive, Scope, Send

SENT_BY_PAGE = "neap-form"
# The header's value where the page takes itself anew in place of words beside the form.
ANEW = "anew"
GO_TO = b"neap-go-to"


def led_on(app: ASGIApp) -> ASGIApp:
    """The application, whose redirections after a form that a page sent are addresses for it to go to."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        if not any(name == SENT_BY_PAGE.encode() for name, _ in scope.get("headers", ())):
            await app(scope, receive, send)
            return

        led = False

        async def answer(message: Message) -> None:
            nonlocal led
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.SEE_OTHER:
                headers = [
                    (GO_TO if name.lower() == b"location" else name, value) for name, value in message["headers"]
                ]
                message["status"] = HTTPStatus.NO_CONTENT
                message["headers"] = [
                    pair for pair in headers if pair[0].lower() not in (b"content-length", b"content-type")
                ]
                led = True
            elif led:
                # What stood in the body of a redirection has no place here, and servers close the connection over it.
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await app(scope, receive, answer)

    return answered
