"""The API's description for people: whole, from the routes themselves, and from nowhere else."""

from __future__ import annotations

import re

import httpx
import pytest

from service.config import Config
from service.web.dashboard import api_pages
from tests import web


async def test_the_page_tells_every_operation_and_every_shape(http: httpx.AsyncClient) -> None:
    page = (await http.get("/docs")).text
    description = (await http.get("/v1/openapi.json")).json()
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            assert f"{method.upper()} {path}" in page
            assert f'id="{told["operationId"]}"' in page
    for name in description["components"]["schemas"]:
        assert f'id="{name}"' in page


async def test_every_link_of_the_page_leads_to_something_of_ours(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    links = set(re.findall(r'(?:href|src)="([^"]+)"', page.text))
    anchors = set(re.findall(r'id="([^"]+)"', page.text))
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        else:
            assert (await http.get(link)).status_code == 200, link


async def test_a_cell_reads_as_one_sentence_with_its_shapes_linked_in_place(http: httpx.AsyncClient) -> None:
    page = (await http.get("/docs")).text
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)]
    assert "Outcome or null" in cells
    assert "list of Substance, at most 4 items or null" in cells
    assert '<a href="#Outcome">Outcome</a> or null</td>' in page
    assert "`" not in page
    assert "list of BatchItem, at most 100 items" in re.sub(r"<[^>]+>", "", page)


async def test_every_time_is_said_to_be_one(http: httpx.AsyncClient) -> None:
    schemas = (await http.get("/v1/openapi.json")).json()["components"]["schemas"]
    times = {
        (name, field): told
        for name, schema in schemas.items()
        for field, told in schema.get("properties", {}).items()
        if field.endswith("_at")
    }
    assert len(times) > 10
    for named, told in times.items():
        kinds = [told, *told.get("anyOf", ())]
        assert any(kind.get("format") == "date-time" for kind in kinds), named


async def test_the_page_says_which_credential_opens_what(http: httpx.AsyncClient) -> None:
    description = (await http.get("/v1/openapi.json")).json()
    assert description["paths"]["/v1/today"]["get"]["security"] == [{"phone": []}]
    assert description["paths"]["/v1/alerts"]["get"]["security"] == [{"staff": []}]
    assert description["paths"]["/health/live"]["get"]["security"] == []
    assert "401" not in description["paths"]["/health/live"]["get"]["responses"]
    assert "413" not in description["paths"]["/v1/today"]["get"]["responses"]
    page = (await http.get("/docs")).text
    assert "Authorization: Bearer" in page


async def test_who_may_use_an_operation_is_told(http: httpx.AsyncClient) -> None:
    description = (await http.get("/v1/openapi.json")).json()
    assert description["paths"]["/v1/check-ins/{check_in_id}"]["put"]["x-access"] == {"client": "own"}
    page = (await http.get("/docs")).text
    assert "For client (own); credential:" in page


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 10}, "integer, 0 to 10"),
        ({"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}]}, "text, at most 4 characters or null"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/CheckIn"}, "maxItems": 100},
            "list of CheckIn, at most 100 items",
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "map from text to integer"),
        ({"type": "string", "format": "uuid"}, "uuid"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({}, "anything"),
    ],
)
def test_what_a_value_may_be_is_said_in_words(schema: dict[str, object], words: str) -> None:
    assert api_pages.kind_of(schema).words == words


async def test_both_are_made_once_a_process_since_anybody_may_ask(settings: Config) -> None:
    async with web.running(settings) as application, web.client_of(application) as http:
        first = [(await http.get(path)).content for path in ("/docs", "/v1/openapi.json")]
        page, description = application.state.api_page, application.state.openapi
        assert first == [page.encode(), description]
        assert [(await http.get(path)).content for path in ("/docs", "/v1/openapi.json")] == first
        assert application.state.api_page is page
        assert application.state.openapi is description
