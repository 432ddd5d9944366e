"""What goes wrong on a page, as a page: what happened, and what to do next; or back to signing in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from litestar import Request, Response

from service import errors
from service.people import staff_sessions
from service.web import desk_page, problems
from service.web.desk_session import LONG_TEXTS, SAFE_METHODS, OfEarlierSession, SignedInAt, refuse_cross_site
from service.web.forms import form_replies, refused_forms
from service.web.pages import go_to, local_path
from service.web.services import Services
from service.web.strict import BODY_REFUSED, FORM_REFUSED

# Remembers which clinic's sign-in page to show; says nothing about anybody.
CLINIC_COOKIE = "__Host-neap-clinic"

WHAT_NEXT = {
    400: "Go back, correct it and try again.",
    404: "It may have been moved, or it is not yours to see. Go back to where you were.",
    409: "Go back and look at how it stands.",
    410: "Ask an admin of your clinic for a new link.",
    429: "Wait a little, then try again.",
}

# In which fields a form says of what its page told. Nobody has read what came since only because they signed in again;
# and under the id that it had, what did go through is not done twice.
LOOKED_AT = frozenset({"seen", "version", "after_version", "known", "id"})
# The same beside a form that the page itself sent, where what was typed still stands.
WHAT_NEXT_HERE = {
    **WHAT_NEXT,
    400: "Correct it and press again; what you typed still stands here.",
    404: "It may have been moved, or it is not yours to see any more.",
    409: "Load the page again to see how it stands.",
    429: "Wait a little, then press again.",
}
# Of what was overtaken the message says all there is to do.
MEANWHILE = "Something came meanwhile"
# What "contradicts what is stored" is to a person.
NOT_DONE = "Nothing was changed"
LOOK = "Load the page again to see how it stands."
LATER = "Try again in a moment; if it stays so, tell whoever runs this server."


FOR_PROGRAMS = ("/v1/", "/health/", "/static/")


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Litestar's exception handler for whatever a page raises."""
    error = problems.plain(error)
    if isinstance(error, errors.Unauthenticated):
        return _to_sign_in(request, error)
    # Pressed again on the page as it is, it would be refused again.
    older = isinstance(error, OfEarlierSession)
    if older:
        error = errors.Overtaken(str(error))
    problem, headers = problems.problem_of(error)
    services: Services = request.app.state.services
    overtaken = isinstance(error, errors.Overtaken)
    anew = older or (overtaken and request.headers.get(form_replies.SENT_BY_PAGE) == form_replies.ANEW)
    said_here = form_replies.SENT_BY_PAGE in request.headers and not anew
    refused = isinstance(error, errors.Invalid | errors.Conflict) and request.state.get("signed_in") is not None
    if refused and not said_here:
        refused_forms.note(request, problem, long_texts=LONG_TEXTS, as_sent=LOOKED_AT if older else ())
    # Where a conflict names fields, nobody was faster: what was typed does not fit.
    status = HTTPStatus.BAD_REQUEST if problem.status == HTTPStatus.CONFLICT and problem.errors else problem.status
    what_next = (WHAT_NEXT_HERE if said_here else WHAT_NEXT).get(status, LATER)
    context = {
        **({} if said_here else _frame_of(request, services)),
        "title": MEANWHILE if overtaken else NOT_DONE if problem.status == HTTPStatus.CONFLICT else problem.title,
        "detail": FORM_REFUSED if problem.detail == BODY_REFUSED else problem.detail,
        "faults": problem.errors,
        "next": LOOK if overtaken else what_next,
    }
    page = services.pages.show("said.html" if said_here else "error.html", context, status=problem.status)
    page.headers.update(headers)
    if said_here:
        page.headers["Neap-Said"] = "yes"
    return page


def handle_stray(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """What no route has a handler for: a page for a browser that asks for an address, a problem for programs."""
    wants_page = request.method in SAFE_METHODS and "text/html" in request.headers.get("accept", "")
    if wants_page and not request.url.path.startswith(FOR_PROGRAMS):
        return handle(request, error)
    return problems.handle(request, error)


def _frame_of(request: Request[Any, Any, Any], services: Services) -> dict[str, object]:
    """Navigation and the way out for whoever is signed in; the notice of a fictional clinic for everybody."""
    known: SignedInAt | None = request.state.get("signed_in")
    if known is None:
        return {"fictional": services.config.demo}
    return desk_page.frame_around(known.who, known.view, services)


def _to_sign_in(request: Request[Any, Any, Any], error: errors.Unauthenticated) -> Response[Any]:
    slug = request.cookies.get(CLINIC_COOKIE, "")
    path = f"/{quote(slug, safe='')}/sign-in" if slug else "/sign-in"
    by_itself = request.headers.get("hx-request") == "true"
    told: dict[str, str] = {}
    if isinstance(error, staff_sessions.RanOut):
        told["ended"] = error.because
    elif by_itself:
        told["ended"] = "yes"
    if (page := _page_of(request)) not in ("", "/"):
        told["next"] = page
    path += f"?{urlencode(told, safe='/')}" if told else ""
    if by_itself:
        headers = {"HX-Redirect": path, "Cache-Control": "no-store"}
        return Response(None, status_code=HTTPStatus.UNAUTHORIZED, headers=headers)
    if form_replies.SENT_BY_PAGE not in request.headers and _ours(request):
        refused_forms.note_signed_out(request, path, long_texts=LONG_TEXTS)
    return go_to(path)


def _ours(request: Request[Any, Any, Any]) -> bool:
    """Whether no other site made the browser send this."""
    try:
        refuse_cross_site(request)
    except errors.Invalid:
        return False
    return True


def _page_of(request: Request[Any, Any, Any]) -> str:
    """The path of the page that was asked for, or from which a form or a part of it was: there one goes on."""
    by_itself = request.headers.get("hx-request") == "true"
    if request.method in SAFE_METHODS and not by_itself:
        return request.url.path
    asked_from = urlsplit(request.headers.get("hx-current-url" if by_itself else "referer", ""))
    ours = asked_from.netloc == request.headers.get("host")
    return local_path(asked_from.path, "") if ours else ""
