"""A form of the desk that is refused comes back as it was filled in, on the page where it was opened.

One mechanism for every form: what a handler refuses is caught here, the page is asked for again on behalf of the same
person, and `refilling` puts in what was typed. Without a script, and without a word in templates or handlers.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.types import ASGIApp, Receive, Send

from schemas.problem import Problem
from service.web.forms.refilling import PAGE_FIELD, Texts, refill, told_at_head
from service.web.pages import local_path
from service.web.strict import BODY_REFUSED, FORM_REFUSED

# On the state of a request whose form was refused: the problem, and its fields that may be long.
REFUSED = "refused_form"
LONG = "long_texts_of_refused_form"
AS_SENT = "as_sent_of_refused_form"
# Likewise of one whose sender's session had ended: where to sign in again, and its fields that may be long.
SIGNED_OUT = "signed_out_form"
OF_THE_BODY = frozenset({b"content-length", b"content-type", b"transfer-encoding", b"expect"})


def note(
    request: Request[Any, Any, Any], problem: Problem, *, long_texts: Collection[str], as_sent: Collection[str] = ()
) -> None:
    """Say that this request's form was refused, and which of its fields may be long. Only where it is known to come
    from a page of ours: what another site made a browser send is not shown as if somebody had typed it.

    The page may be another by now: it is shown even where the form does not stand on it any more, with what was written
    at length to be copied. Of what the form hid, the fields `as_sent` come back as they were sent.
    """
    if request.method == "POST" and request.headers.get("hx-request") != "true":
        request.state[REFUSED] = problem
        request.state[LONG] = long_texts
        request.state[AS_SENT] = as_sent


def note_signed_out(request: Request[Any, Any, Any], sign_in: str, *, long_texts: Collection[str]) -> None:
    """Say that the session of whoever sent this form had ended, where they sign in again, and which of its fields may
    be long. As `note`, only where it is known to come from a page of ours."""
    if request.method == "POST":
        request.state[SIGNED_OUT] = sign_in, long_texts


def carried(app: ASGIApp) -> ASGIApp:
    """The application, which gives refused forms back, and what was written at length to whoever was signed out."""

    async def with_forms(scope: Any, receive: Receive, send: Send) -> None:
        if scope.get("method") != "POST":
            await app(scope, receive, send)
            return
        again, held = _copy(scope), list[Any]()

        async def hold(message: Any) -> None:
            if not {REFUSED, SIGNED_OUT}.isdisjoint(scope["state"]):
                held.append(message)
            else:
                await send(message)

        await app(scope, receive, hold)
        if held and SIGNED_OUT in scope["state"]:
            await _written(Request(scope), held, receive, send)
        elif held:
            problem = scope["state"][REFUSED]
            for message in await _page(app, again, Request(scope), problem) or held:
                await send(message)

    return with_forms


async def _written(request: Request[Any, Any, Any], held: list[Any], receive: Receive, send: Send) -> None:
    """What was written at length, to be copied by whoever wrote it: it is kept nowhere. Else the way to sign in."""
    sign_in, long_texts = request.state[SIGNED_OUT]
    form = await request.form()
    texts = _long([(name, text) for name, text in form.multi_items() if isinstance(text, str)], long_texts)
    if not texts:
        for message in held:
            await send(message)
        return
    services = request.app.state.services
    context = {"texts": texts, "sign_in": sign_in, "fictional": services.config.demo}
    page = services.pages.show("signed_out.html", context, status=HTTPStatus.UNAUTHORIZED)
    await page.to_asgi_response(app=None, request=request)(request.scope, receive, send)


def _long(texts: Texts, names: Collection[str]) -> list[str]:
    """What was written at length."""
    return [text for name, text in texts if name in names and text.strip()]


def _copy(scope: dict[str, Any]) -> dict[str, Any]:
    """The request as it came: the application keeps what it finds out in the scope."""
    return {**scope, "state": dict(scope.get("state") or {})}


async def _page(app: ASGIApp, scope: Any, refused: Request[Any, Any, Any], problem: Problem) -> list[Any] | None:
    """The answer with the page and its form; None where there is no such page, or no such form on it."""
    texts = [(name, text) for name, text in (await refused.form()).multi_items() if isinstance(text, str)]
    opened_at = _opened_at(refused, dict(texts))
    if opened_at is None:
        return None
    start, content = await _asked(app, scope, opened_at)
    if start is None or start["status"] != HTTPStatus.OK:
        return None
    says = FORM_REFUSED if problem.detail == BODY_REFUSED else problem.detail
    page = refill(
        content.decode(),
        sent_to=refused.url.path,
        texts=texts,
        says=says,
        faults=problem.errors,
        opened_at=opened_at,
        as_sent=refused.state[AS_SENT],
    )
    if page is None:
        told = " ".join([says, *(f"{each.field}: {each.message}." for each in problem.errors)])
        page = told_at_head(content.decode(), told, written=_long(texts, refused.state[LONG]))
    if page is None:
        return None
    octets = page.encode()
    headers = [each for each in start["headers"] if each[0] != b"content-length"]
    headers.append((b"content-length", str(len(octets)).encode()))
    start |= {"status": problem.status, "headers": headers}
    return [start, {"type": "http.response.body", "body": octets, "more_body": False}]


def _opened_at(refused: Request[Any, Any, Any], form: dict[str, str]) -> str | None:
    """Path and query of the page on which the form stood, as a page that came back says, else the browser."""
    if PAGE_FIELD in form:
        return local_path(form[PAGE_FIELD], "") or None
    referrer = urlsplit(refused.headers.get("referer", ""))
    if referrer.netloc != refused.headers.get("host"):
        return None
    return local_path(f"{referrer.path}?{referrer.query}" if referrer.query else referrer.path, "") or None


async def _asked(app: ASGIApp, scope: Any, opened_at: str) -> tuple[dict[str, Any] | None, bytes]:
    """What a GET of the page answers, by the same person; its head and its content."""
    path = urlsplit(opened_at)
    scope |= {
        "method": "GET",
        "path": path.path,
        "raw_path": path.path.encode(),
        "query_string": path.query.encode(),
        "headers": [each for each in scope["headers"] if each[0] not in OF_THE_BODY],
    }
    start: dict[str, Any] | None = None
    content = b""

    async def nothing_more() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def take(message: Any) -> None:
        nonlocal start, content
        if message["type"] == "http.response.start":
            start = dict(message)
        elif message["type"] == "http.response.body":
            content += message.get("body", b"")

    await app(scope, nothing_more, take)
    return start, content
