"""What each type of problem means: a page at the address that the type is, or JSON for whoever asks for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service import errors
from service.people.access import Permission
from service.web import page_problems, problems
from service.web.services import Services

# Why it comes, and what a program that gets it should do; the kinds are those of `problems.KINDS`.
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "invalid": "Something in the request breaks a rule; `errors` names each field. Do not send the same again.",
        "unauthenticated": "No credential was sent, or it is wrong, expired or revoked. Get another, then try again.",
        "forbidden": "The credential is right, but not for this.",
        "not-found": "There is nothing at this address, or nothing that you may know of.",
        "method-not-allowed": "The header `Allow` names the methods that this address takes.",
        "conflict": "It contradicts what is stored: an id that was used with other content, or a state that moved on. "
        "Read the present state before anything else.",
        "gone": "A one-time code or link that was spent, voided or ran out. Ask the clinic for another.",
        "too-large": "The body is longer than this address takes. Send less at once.",
        "unsupported-media-type": "The body is of another kind than this address takes.",
        "too-many": "Too many requests or tries. Come back after the seconds that the header `Retry-After` gives.",
        "internal": "A defect of this server, which was logged. The same request, with the same id, may work later.",
        "unavailable": "The server cannot store anything just now. Try again after the seconds that the header "
        "`Retry-After` gives, with the same id: should the first try have been stored, the second changes nothing.",
    }
)


AS_JSON = (MediaType.JSON, problems.MEDIA_TYPE)


class ProblemType(msgspec.Struct, frozen=True):
    """One type of problem, as documented; `type` is what the field of that name holds."""

    type: str
    title: str
    status: int
    meaning: str


def of_kind(kind: str) -> ProblemType:
    """The type of a kind. Raises NotFound."""
    if kind not in problems.KINDS:
        raise errors.NotFound("There is no such type of problem.")
    status, title = problems.KINDS[kind]
    return ProblemType(f"/problems/{kind}", title, status, MEANINGS[kind])


@get("/problems/{kind:str}", opt={"access": Permission.COME_IN})
async def show_problem(
    request: Request[Any, Any, Any], kind: FromPath[str], services: NamedDependency[Services]
) -> Response[Any]:
    """What a type of problem means."""
    documented = of_kind(kind)
    if request.accept.best_match([MediaType.HTML, *AS_JSON]) in AS_JSON:
        headers = {"Vary": "Accept"}
        return Response(msgspec.json.encode(documented), media_type=MediaType.JSON, headers=headers)
    page = services.pages.show("problem.html", {"problem": documented})
    page.headers["Vary"] = "Accept"
    return page


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_problem],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
