"""What a client said about recipients outside the clinic: the JSON API, and the form on the client's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.consent import ConsentForm, ConsentPage
from service import errors
from service.people import consents
from service.people.access import Permission
from service.web import page_problems, strict
from service.web.api.staff_api import json_reply
from service.web.desk_session import Desk, form_of, open_desk
from service.web.pages import go_to

RECORD = Permission.RECORD_CONSENTS
OF_CLIENT = "/v1/clients/{client_id:uuid}/consents"
CHOICES = {"yes": True, "no": False}


async def _record(desk: Desk, client_id: UUID, *, given: bool) -> None:
    consent_id = await consents.record(desk.db, client_id, given=given, by=desk.who.staff_id, now=desk.now)
    await desk.record("consent.record", client_id=client_id, object_id=consent_id)


async def _page_of(desk: Desk, client_id: UUID, status: int = 200) -> Response[bytes]:
    said = await consents.history(desk.db, client_id)
    return json_reply(ConsentPage(given=await consents.given_now(desk.db, client_id), items=said), status)


@get(OF_CLIENT, opt={"access": Permission.SEE_CONSENTS, "replies": {200: ConsentPage}}, tags=["Consent"])
async def list_consents(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """Whether recipients outside the clinic may be told of the client's alerts, and all that was said about it."""
    await desk.require_client(client_id)
    await desk.record("consent.read", client_id=client_id)
    return await _page_of(desk, client_id)


@post(OF_CLIENT, opt={"access": RECORD, "body": ConsentForm, "replies": {201: ConsentPage}}, tags=["Consent"])
async def record_consent(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[bytes]:
    """Record what the client says now; it holds from the next message on."""
    await desk.require_client(client_id)
    form = strict.decode(await request.body(), ConsentForm)
    await _record(desk, client_id, given=form.given)
    return await _page_of(desk, client_id, 201)


@post("/clients/{client_id:uuid}/consents", opt={"access": RECORD})
async def take_consent(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], client_id: FromPath[UUID]
) -> Response[Any]:
    """Record what the client says now, and show their page again."""
    await desk.require_client(client_id)
    given = CHOICES.get((await form_of(request)).get("given", ""))
    if given is None:
        raise errors.Invalid("Say whether it is given.", fields=(errors.FieldFault("given", "yes or no"),))
    await _record(desk, client_id, given=given)
    return go_to(f"/clients/{client_id}/manage#outside")


ROUTES = (
    Router(path="/", route_handlers=[list_consents, record_consent], dependencies={"desk": Provide(open_desk)}),
    Router(
        path="/",
        route_handlers=[take_consent],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
