"""The API described for people, at `/docs`: from the same routes as `openapi.json`, with nothing from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from litestar import Litestar, Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.enums import MediaType

from service.people.access import Permission
from service.web import page_problems
from service.web.api import openapi
from service.web.pages import HEADERS, Pages
from service.web.services import Services

Schema = Mapping[str, Any]
OF_A_REFERENCE = "#/components/schemas/"


class Part(NamedTuple):
    """Some words, and the shape they name where they are one: it has a place on the page."""

    words: str
    shape: str | None = None


class Kind(NamedTuple):
    """What a value may be, in parts to be read one after the other."""

    parts: Sequence[Part]

    @property
    def words(self) -> str:
        """All of it as one text."""
        return "".join(part.words for part in self.parts)


class Field(NamedTuple):
    """One field of a shape, or one parameter of an operation."""

    name: str
    kind: Kind
    required: bool
    note: str


class Reply(NamedTuple):
    """What an operation may answer: the status, what it means, the shape of its body."""

    status: str
    meaning: str
    kind: Kind | None


class Operation(NamedTuple):
    """One method of one address."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    access: Sequence[tuple[str, str]]
    credentials: Sequence[str]
    parameters: Sequence[Field]
    body: Kind | None
    replies: Sequence[Reply]
    refusals: Sequence[Reply]


class Shape(NamedTuple):
    """A named shape: its fields, or its values where it is an enumeration."""

    name: str
    description: str
    fields: Sequence[Field]
    values: Sequence[str]


def operations_of(description: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Every operation under its tag, in the order of addresses."""
    grouped: dict[str, list[Operation]] = {}
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            tag = (told["tags"] or ["Other"])[0]
            grouped.setdefault(tag, []).append(_operation(path, method, told))
    return dict(sorted(grouped.items()))


def shapes_of(description: Mapping[str, Any]) -> list[Shape]:
    """Every named shape, by name."""
    return [_shape(name, schema) for name, schema in description["components"]["schemas"].items()]


def _operation(path: str, method: str, told: Mapping[str, Any]) -> Operation:
    replies = [_reply(status, reply) for status, reply in told["responses"].items()]
    body = told.get("requestBody")
    return Operation(
        name=told["operationId"],
        method=method.upper(),
        path=path,
        summary=_plain(told["summary"]),
        description=_plain(told["description"]),
        access=list(told["x-access"].items()),
        credentials=[name for each in told["security"] for name in each],
        parameters=[
            Field(each["name"], kind_of(each["schema"]), each["required"], f"in the {each['in']}")
            for each in told.get("parameters", ())
        ],
        body=None if body is None else kind_of(body["content"]["application/json"]["schema"]),
        replies=[reply for reply in replies if reply.status < "4"],
        refusals=[reply for reply in replies if reply.status >= "4"],
    )


def _reply(status: str, told: Mapping[str, Any]) -> Reply:
    content = next(iter(told.get("content", {}).values()), None)
    return Reply(status, told["description"], None if content is None else kind_of(content["schema"]))


def _shape(name: str, schema: Schema) -> Shape:
    required = set(schema.get("required", ()))
    fields = [
        Field(field, kind_of(of), field in required, _plain(of.get("description", "")))
        for field, of in schema.get("properties", {}).items()
    ]
    return Shape(name, _plain(schema.get("description", "")), fields, [str(value) for value in schema.get("enum", ())])


def _plain(text: str) -> str:
    """Without the marks that a docstring puts around names."""
    return text.replace("`", "")


def kind_of(schema: Schema) -> Kind:
    """What a schema allows, in words: "integer, 0 to 10", "list of CheckIn", "text or null"."""
    return Kind(_parts(schema))


def _parts(schema: Schema) -> list[Part]:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(OF_A_REFERENCE)
        return [Part(name, name)]
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in schema:
            return _joined([_parts(each) for each in schema[alternatives]])
    if "enum" in schema:
        return [Part("one of " + ", ".join(str(value) for value in schema["enum"]))]
    if schema.get("type") == "array":
        held = _parts(schema.get("items") or _of_first(schema) or {})
        return [Part("list of "), *held, Part(_bounds(schema, "Items", " items"))]
    if schema.get("type") == "object":
        return [Part("map from text to "), *_parts(schema.get("additionalProperties") or {})]
    return [Part(_scalar(schema))]


def _of_first(schema: Schema) -> Schema | None:
    return next(iter(schema.get("prefixItems", ())), None)


def _joined(alternatives: Sequence[list[Part]]) -> list[Part]:
    joined = list(alternatives[0])
    for each in alternatives[1:]:
        joined += [Part(" or "), *each]
    return joined


def _scalar(schema: Schema) -> str:
    word = {"string": "text", None: "anything"}.get(schema.get("type"), str(schema.get("type")))
    if "format" in schema:
        word = schema["format"]
    range_ = (schema.get("minimum"), schema.get("maximum"))
    if None not in range_:
        word += f", {range_[0]} to {range_[1]}"
    return word + _bounds(schema, "Length", " characters")


def _bounds(schema: Schema, of: str, unit: str) -> str:
    most = schema.get(f"max{of}")
    return "" if most is None else f", at most {most}{unit}"


@get("/docs", opt={"access": Permission.COME_IN})
async def show_api(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[str]:
    """The API for people: every operation, who may use it, what it takes and gives."""
    text = await asyncio.to_thread(_page, request.app, services.pages)
    return Response(text, media_type=MediaType.HTML, headers=dict(HEADERS))


def _page(app: Litestar, pages: Pages) -> str:
    """Made at the first request and kept, as the description is."""
    if "api_page" not in app.state:
        app.state.api_page = pages.render("api.html", _context(openapi.describe(app)))
    held: str = app.state.api_page
    return held


def _context(description: Mapping[str, Any]) -> dict[str, object]:
    schemes = description["components"]["securitySchemes"]
    return {
        "info": description["info"],
        "credentials": {name: _plain(scheme["description"]) for name, scheme in schemes.items()},
        "groups": operations_of(description),
        "shapes": shapes_of(description),
    }


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_api],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
