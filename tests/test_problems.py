"""Problems are documented where their types point, in the API's description and for whoever monitors the service."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from service import logs
from service.config import DatabaseUrls
from service.database import Pool, transaction
from service.embedded import Cluster
from service.people import enrolment
from service.web import problems
from service.web.dashboard import problem_pages
from tests.builders import a_client, a_clinic, a_phone


def test_every_type_of_problem_says_what_it_means() -> None:
    assert set(problem_pages.MEANINGS) == set(problems.KINDS)


@pytest.mark.parametrize("kind", problems.KINDS)
async def test_a_problems_type_is_an_address_that_documents_it(http: httpx.AsyncClient, kind: str) -> None:
    status, title = problems.KINDS[kind]
    page = await http.get(f"/problems/{kind}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert f"<h1>{title}</h1>" in page.text
    for wanted in ("application/json", "application/problem+json"):
        told = await http.get(f"/problems/{kind}", headers={"Accept": wanted})
        assert told.headers["content-type"].startswith("application/json")
        assert (told.json()["type"], told.json()["status"]) == (f"/problems/{kind}", status)


async def test_a_type_that_a_refusal_names_can_be_looked_up(http: httpx.AsyncClient) -> None:
    refused = await http.get("/v1/today")
    looked_up = await http.get(refused.json()["type"], headers={"Accept": "application/json"})
    assert looked_up.json()["title"] == refused.json()["title"]
    assert (await http.get("/problems/nothing")).status_code == 404


@pytest.mark.parametrize("address", ["/health/live", "/health/ready"])
async def test_health_answers_head_as_it_answers_get(http: httpx.AsyncClient, address: str) -> None:
    asked, told = await http.head(address), await http.get(address)
    assert (asked.status_code, told.status_code) == (200, 200)
    assert asked.content == b""
    assert asked.headers["content-type"] == told.headers["content-type"]


async def test_the_description_names_the_refusals_of_a_route_and_each_operation_once(http: httpx.AsyncClient) -> None:
    document = json.loads((await http.get("/v1/openapi.json")).content)
    assert "410" in document["paths"]["/v1/device/enrol"]["post"]["responses"]
    assert "409" in document["paths"]["/v1/alerts/{alert_id}/resolve"]["post"]["responses"]
    assert "head" not in document["paths"]["/health/live"]
    operations = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(operations) == len(set(operations))


async def test_a_browser_at_an_unknown_address_gets_a_page_and_a_program_a_problem(http: httpx.AsyncClient) -> None:
    page = await http.get("/no/such/place", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (404, "text/html")
    for path, accept in (("/no/such/place", "*/*"), ("/v1/no/such", "text/html")):
        told = await http.get(path, headers={"Accept": accept})
        assert (told.status_code, told.headers["content-type"]) == (404, "application/problem+json")


async def test_a_defect_is_told_under_the_id_of_its_request_which_is_never_the_caller_s(
    http: httpx.AsyncClient, owner_pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    await a_clinic(owner_pool)

    said: list[str] = []
    caplog.handler.setFormatter(logs.JsonLines())
    monkeypatch.setattr(enrolment, "enrol", broken)
    body = {"clinic": "harbour", "code": "AAAAAAAAAA", "public_key": "BA" + "A" * 85}
    for _ in range(2):
        reply = await http.post("/v1/device/enrol", json=body, headers={"X-Request-ID": "craving-9"})
        said.append(reply.headers["x-request-id"])
        assert reply.status_code == 500
        assert reply.json()["detail"] == f"The fault is ours and is logged under {said[-1]}."
        assert f'"request_id":"{said[-1]}"' in caplog.text
    assert len(set(said)) == 2
    assert "craving-9" not in said
    assert (await http.get("/nowhere")).headers["x-request-id"] not in said


ENDED = """
select pg_terminate_backend(pid)
from pg_stat_activity
where wait_event_type = 'Lock'
  and datname = current_database()
"""


async def test_a_statement_that_meets_the_end_of_its_connection_is_to_be_sent_again(
    http: httpx.AsyncClient, owner_pool: Pool, cluster: Cluster, database: DatabaseUrls
) -> None:
    """As when the server is shut down under it."""
    clinic = await a_clinic(owner_pool)
    async with transaction(owner_pool, clinic.clinic_id) as db:
        now = datetime.now(UTC)
        phone = await a_phone(db, await a_client(db, now=now), now=now)
    superuser = await asyncpg.connect(cluster.superuser_url, database=urlsplit(database.owner).path[1:])
    async with owner_pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table device_token in access exclusive mode")
        waiting = asyncio.create_task(http.get("/v1/today", headers=phone.headers))
        while not await superuser.fetch(ENDED):  # noqa: ASYNC110 - that another process waits is no event of ours
            await asyncio.sleep(0.01)
    await superuser.close()
    reply = await waiting
    assert reply.status_code == 503
    assert reply.headers["retry-after"]
    assert "nothing was stored" not in reply.text
    assert (await http.get("/v1/today", headers=phone.headers)).status_code == 200


@pytest.mark.parametrize(
    "error",
    [asyncpg.CrashShutdownError, asyncpg.DiskFullError, asyncpg.InternalClientError, asyncpg.QueryCanceledError],
)
def test_a_database_that_cannot_just_now_is_no_defect_of_ours(error: type[Exception]) -> None:
    problem, headers = problems.problem_of(error("said by the server"))
    assert (problem.status, "Retry-After" in headers) == (503, True)
