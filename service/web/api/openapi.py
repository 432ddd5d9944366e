"""The API's description, OpenAPI 3.1: made from the routes themselves and the Structs they name."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, get_args, get_origin
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from schemas.problem import Problem
from service.people.access import PROGRAMS, TABLE, Party, Permission
from service.web import problems
from service.web.api import openapi_examples, openapi_moments

TITLE = "Neap"
VERSION = "1"
SCHEMA_REFERENCE = "#/components/schemas/{name}"
SECURITY_SCHEMES = {
    "phone": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token, `Authorization: Bearer neap_access_…`, good for 15 minutes. "
        "`POST /v1/device/enrol` gives the first for a one-time code of the clinic, `POST /v1/device/token` the next "
        "ones for a signature by the phone's key.",
    },
    "staff": {
        "type": "http",
        "scheme": "bearer",
        "description": "The session of a person who signed in with password and second factor: the value of the "
        "cookie `__Host-neap`, as `Authorization: Bearer neap_session_…`. It ends after 15 minutes without a request, "
        "after 12 hours in any case, and at once when the person signs out or is disabled.",
    },
    "service_account": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of a service account, `Authorization: Bearer neap_service_…`, which an admin "
        "makes and revokes. It stays valid until then and reaches what its scopes name.",
    },
}
# What a route may answer besides its own replies and the `problems` that its options name.
SHARED_PROBLEMS = frozenset({400, 429, 500, 503})
OF_THE_KNOWN = frozenset({401, 404})
OF_BODIES = frozenset({413})
DESCRIPTION = (
    "The API of Neap, the backend of a companion app in ketamine infusion therapy for addiction. "
    "Bodies are decoded strictly, unknown fields are refused, and every error is a problem (RFC 9457)."
)


def describe(app: Litestar) -> dict[str, Any]:
    """The whole description as an OpenAPI 3.1 document."""
    handlers = [
        (route.path_format, method.lower(), handler)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in sorted(handler.http_methods)
        if method not in ("OPTIONS", "HEAD") and route.path.startswith(("/v1", "/health"))
    ]
    shapes = list(_shapes_of(handler for _, _, handler in handlers))
    schemas, components = msgspec.json.schema_components([*shapes, Problem], ref_template=SCHEMA_REFERENCE)
    openapi_moments.mark(components, [*shapes, Problem])
    by_shape = dict(zip(map(repr, [*shapes, Problem]), schemas, strict=True))
    paths: dict[str, dict[str, object]] = {}
    for path, method, handler in handlers:
        paths.setdefault(path, {})[method] = _operation(handler, method, by_shape)
    _give_examples(paths, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION, "description": DESCRIPTION, "license": {"name": "Apache-2.0"}},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _give_examples(paths: Mapping[str, Mapping[str, Any]], components: Mapping[str, Any]) -> None:
    """An example beside every body and every reply that has a shape of its own; of problems the type says enough."""
    for methods in paths.values():
        for operation in methods.values():
            for each in (operation.get("requestBody", {}), *operation["responses"].values()):
                if held := each.get("content", {}).get("application/json"):
                    held["example"] = openapi_examples.of(held["schema"], components)


def _shapes_of(handlers: Iterable[HTTPRouteHandler]) -> Iterable[object]:
    seen = set()
    for handler in handlers:
        for shape in (handler.opt.get("body"), *handler.opt.get("replies", {}).values()):
            if shape is not None and repr(shape) not in seen:
                seen.add(repr(shape))
                yield shape


def _operation(handler: HTTPRouteHandler, method: str, schemas: dict[str, dict[str, Any]]) -> dict[str, object]:
    open_to_all = handler.opt["access"] is Permission.COME_IN
    replies = handler.opt.get("replies") or {handler.status_code: None}
    refusals = set(SHARED_PROBLEMS) | set(handler.opt.get("problems", ()))
    refusals |= OF_THE_KNOWN if not open_to_all else set()
    refusals |= OF_BODIES if method != "get" else set()
    operation: dict[str, object] = {
        "operationId": handler.handler_name,
        "summary": handler.summary or handler.handler_name.replace("_", " "),
        "description": inspect.getdoc(handler.fn) or "",
        "tags": list(handler.tags or ()),
        "responses": {
            **{
                str(status): _reply(status, shape, schemas, handler.opt.get("files", ()))
                for status, shape in replies.items()
            },
            **{str(status): _problem(status) for status in sorted(refusals) if status not in replies},
        },
        "security": [] if open_to_all else [{scheme: []} for scheme in _schemes_of(handler.opt["access"])],
        "x-access": {str(party): str(scope) for party, scope in TABLE[handler.opt["access"]].items()},
    }
    if parameters := _parameters(handler):
        operation["parameters"] = parameters
    if (body := handler.opt.get("body")) is not None and method != "get":
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[repr(body)]}}}
    return operation


def _schemes_of(permission: Permission) -> list[str]:
    parties = TABLE[permission]
    if set(parties) <= PROGRAMS:
        return ["service_account"]
    people = "phone" if Party.CLIENT in parties else "staff"
    return [people, "service_account"] if PROGRAMS & set(parties) else [people]


def _reply(status: int, shape: object, schemas: dict[str, dict[str, Any]], files: Iterable[str]) -> dict[str, object]:
    described: dict[str, object] = {"description": "Created" if status == 201 else "Done"}
    if shape is not None:
        described["content"] = {"application/json": {"schema": schemas[repr(shape)]}}
    if files:
        described["content"] = {media_type: {"schema": _schema_of_file(media_type)} for media_type in files}
    return described


def _schema_of_file(media_type: str) -> dict[str, str]:
    return {"type": "object"} if media_type.endswith("json") else {"type": "string", "format": "binary"}


def _problem(status: int) -> dict[str, object]:
    kind = problems.KIND_OF_STATUS[status]
    return {
        "description": problems.KINDS[kind][1],
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": SCHEMA_REFERENCE.format(name="Problem")}}},
    }


def _parameters(handler: HTTPRouteHandler) -> list[dict[str, object]]:
    parameters = []
    in_path = {each.name for path in handler.paths for each in _path_parameters(path)}
    for name, parameter in inspect.signature(handler.fn, eval_str=True).parameters.items():
        where = "path" if name in in_path else "query"
        if (
            parameter.annotation is Request
            or get_origin(parameter.annotation) is Request
            or name in {"services", "now", "desk"}
        ):
            continue
        parameters.append(
            {
                "name": _name_on_the_wire(name, parameter.annotation),
                "in": where,
                "required": where == "path",
                "schema": _schema_of(parameter.annotation),
            }
        )
    return parameters


def _name_on_the_wire(name: str, annotation: object) -> str:
    """What the caller writes: a parameter whose name Python keeps for itself is called otherwise in code."""
    told = [each.name for each in get_args(annotation) if isinstance(each, QueryParameter) and each.name]
    return told[0] if told else name


class _PathParameter(msgspec.Struct, frozen=True):
    name: str


def _path_parameters(path: str) -> list[_PathParameter]:
    return [
        _PathParameter(part[1:-1].split(":", 1)[0])
        for part in path.split("/")
        if part.startswith("{") and part.endswith("}")
    ]


def _schema_of(annotation: object) -> dict[str, object]:
    """What a parameter takes, with the bounds that its annotation names."""
    if _holds(annotation, bool):
        return {"type": "boolean"}
    if _holds(annotation, int):
        told = [each for each in get_args(annotation) if hasattr(each, "ge") and hasattr(each, "le")]
        bounds = {"minimum": told[0].ge, "maximum": told[0].le} if told else {}
        return {"type": "integer", **{name: bound for name, bound in bounds.items() if bound is not None}}
    for kind, name in ((UUID, "uuid"), (date, "date")):
        if _holds(annotation, kind):
            return {"type": "string", "format": name}
    return {"type": "string"}


def _holds(annotation: object, kind: type) -> bool:
    return annotation is kind or any(_holds(argument, kind) for argument in get_args(annotation))


@get("/v1/openapi.json", opt={"access": Permission.COME_IN}, summary="This description", tags=["Description"])
async def get_openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The API's description, OpenAPI 3.1."""
    return Response(await asyncio.to_thread(_as_json, request.app), media_type="application/json")


def _as_json(app: Litestar) -> bytes:
    """Made at the first request and kept: the routes stay while the process runs, and anybody may ask for it."""
    if "openapi" not in app.state:
        app.state.openapi = msgspec.json.encode(describe(app))
    held: bytes = app.state.openapi
    return held


ROUTES = [get_openapi]
