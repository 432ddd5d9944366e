"""Every error as RFC 9457 problem details: a stable type, the fields by name, and no health data."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from schemas.crisis import CrisisContact
from schemas.problem import FieldProblem, Problem
from service import errors, logs

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# What the database or the network raises while the server behind it is away.
UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # It is shut down, crashed, starts, or cancelled what took too long; it has no room, or is a copy that only reads.
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    # A statement met the end of its connection.
    asyncpg.InternalClientError,
)
RETRY_UNREACHABLE_SECONDS = 5

# kind -> (status, title); the documentation of the types is generated from this table.
KINDS: dict[str, tuple[int, str]] = {
    "invalid": (400, "The request was refused"),
    "unauthenticated": (401, "Not signed in"),
    "forbidden": (403, "Not allowed"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "This address does not take that method"),
    "conflict": (409, "It contradicts what is stored"),
    "gone": (410, "Spent or expired"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "This media type is not taken"),
    "too-many": (429, "Too often"),
    "internal": (500, "Something went wrong here"),
    "unavailable": (503, "Not available just now"),
}
KIND_OF_STATUS = {status: kind for kind, (status, _) in KINDS.items()}


def problem_of(
    error: Exception, *, crisis: list[CrisisContact] | None = None, sent_as: Mapping[str, str] = MappingProxyType({})
) -> tuple[Problem, dict[str, str]]:
    """The problem an error becomes, and the headers that go with it. An unforeseen one is logged by its type alone.

    `sent_as`: our parameter's name → the name it has in the query.
    """
    error = plain(error)
    if isinstance(error, errors.DomainError):
        kind = error.kind if error.kind in KINDS else "internal"
        return _problem(kind, error.message, fields=error.fields, crisis=crisis), _headers_of(error)
    if isinstance(error, HTTPException):
        kind = KIND_OF_STATUS.get(error.status_code, "invalid" if error.status_code < 500 else "internal")
        faults = _faults_of(error, sent_as) if kind == "invalid" else ()
        headers = {"Allow": (error.headers or {})["Allow"]} if "Allow" in (error.headers or {}) else {}
        return _problem(kind, KINDS[kind][1] + ".", fields=faults, crisis=crisis), headers
    if isinstance(error, UNREACHABLE):
        log.error("database_unreachable", extra={"error_type": type(error).__name__})
        # A commit may have been on its way: nobody knows, and nobody has to, for an id is stored once.
        detail = "The service cannot store anything just now. Please try again, with the same id."
        return _problem("unavailable", detail, crisis=crisis), {"Retry-After": str(RETRY_UNREACHABLE_SECONDS)}
    # The message of an unforeseen error may quote values, and so may the locals of its frames: only places are logged.
    log.error("request_failed", extra={"error_type": type(error).__name__, "places": _places_of(error)})
    request_id = logs.REQUEST_ID.get()
    logged = "The fault is ours and is logged" + (f" under {request_id}" if request_id else "")
    return _problem("internal", f"{logged}.", crisis=crisis), {}


def plain(error: Exception) -> Exception:
    """The one error of a group: what a dependency raises instead of the handler's own error arrives wrapped."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _problem(
    kind: str, detail: str, *, fields: Sequence[errors.FieldFault] = (), crisis: list[CrisisContact] | None = None
) -> Problem:
    status, title = KINDS[kind]
    return Problem(
        type=f"/problems/{kind}",
        title=title,
        status=status,
        detail=detail,
        errors=[FieldProblem(field=fault.field, message=fault.message) for fault in fields],
        crisis=crisis,
    )


def _headers_of(error: errors.DomainError) -> dict[str, str]:
    if isinstance(error, errors.TooMany):
        return retry_after(error)
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="neap"'}
    return {}


def retry_after(error: errors.TooMany) -> dict[str, str]:
    """The header that says in how many seconds to come back."""
    seconds = (error.retry_at - datetime.now(UTC)).total_seconds()
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _faults_of(error: HTTPException, sent_as: Mapping[str, str]) -> list[errors.FieldFault]:
    """The parameters that Litestar's own validation refused; its messages may quote the value and are left out."""
    extra = error.extra if isinstance(error.extra, list) else []
    return [
        errors.FieldFault(
            sent_as.get(str(each["key"]), str(each["key"])), "is missing, of the wrong type or out of range"
        )
        for each in extra
        if isinstance(each, dict) and "key" in each
    ]


def _places_of(error: BaseException) -> list[str]:
    places = []
    frame = error.__traceback__
    while frame is not None:
        places.append(f"{frame.tb_frame.f_code.co_name}:{frame.tb_lineno}")
        frame = frame.tb_next
    return places[-8:]


def response_of(
    error: Exception, *, crisis: list[CrisisContact] | None = None, sent_as: Mapping[str, str] = MappingProxyType({})
) -> Response[bytes]:
    """The reply an error becomes; `sent_as` as in `problem_of`."""
    problem, headers = problem_of(error, crisis=crisis, sent_as=sent_as)
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers | {"Cache-Control": "no-store"},
    )


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Litestar's exception handler for whatever a JSON route raises."""
    parameters = request.route_handler.parsed_fn_signature.parameters if "route_handler" in request.scope else {}
    told = {name: getattr(each.kwarg_definition, "name", None) for name, each in parameters.items()}
    return response_of(error, sent_as={name: sent for name, sent in told.items() if sent})
