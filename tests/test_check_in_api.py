"""The check-in path over HTTP against the real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from schemas.course import Substance
from service import database, ids
from service.config import Config
from service.database import Pool
from service.facts import courses, infusions
from service.people import clients
from tests import web
from tests.builders import a_client, a_clinic, a_phone
from tests.checking_in import Setting, a_setting, count, form_now, put

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
async def here(owner_pool: Pool) -> Setting:
    return await a_setting(owner_pool)


async def test_first_check_in_is_stored_and_replied_to(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await put(http, here.phone, form_now(note="Walked home the long way."))
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert body["check_in"]["craving"] == {"alcohol": 6}
    assert body["check_in"]["note"] == "Walked home the long way."
    assert body["check_in"]["late"] is False
    assert body["check_in"]["partly"] is False
    assert body["monitoring"] == "Read on working days, 9 to 17, Chicago time."
    assert body["crisis"] is None
    assert body["next"]["check_in_on"] > body["check_in"]["client_day"]
    assert await count(here, "check_in") == 1
    assert await count(here, "fold_due") == 1
    assert await count(here, "audit_event") == 1


async def test_replayed_check_in_is_stored_once(http: httpx.AsyncClient, here: Setting) -> None:
    check_in_id, form = ids.new(), form_now(note="x")
    first = await put(http, here.phone, form, check_in_id)
    again = await put(http, here.phone, form | {"sent_at": datetime.now(UTC).isoformat()}, check_in_id)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["check_in"] == first.json()["check_in"]
    assert await count(here, "check_in") == 1
    async with database.transaction(here.owner, here.clinic_id) as db:
        actions = await db.connection.fetch("select action from audit_event order by happened_at, audit_event_id")
    assert [record["action"] for record in actions] == ["check_in.store", "check_in.resend"]


async def test_same_id_with_other_content_is_a_conflict(http: httpx.AsyncClient, here: Setting) -> None:
    check_in_id, form = ids.new(), form_now()
    await put(http, here.phone, form, check_in_id)
    refused = await put(http, here.phone, form | {"mood": 5}, check_in_id)
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "/problems/conflict"


async def test_an_id_of_another_client_is_a_conflict_that_tells_nothing(http: httpx.AsyncClient, here: Setting) -> None:
    check_in_id, form = ids.new(), form_now(note="mine")
    await put(http, here.phone, form, check_in_id)
    async with database.transaction(here.owner, here.clinic_id) as db:
        other = await a_phone(db, await a_client(db, given_name="Petr"), now=datetime.now(UTC))
    refused = await put(http, other, form, check_in_id)
    assert refused.status_code == 409
    assert "mine" not in refused.text


async def test_concurrent_duplicates_are_stored_once(http: httpx.AsyncClient, here: Setting) -> None:
    check_in_id, form = ids.new(), form_now()
    replies = await asyncio.gather(*(put(http, here.phone, form, check_in_id) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] * 7 + [201]
    assert await count(here, "check_in") == 1


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"mood": "7"}, "mood"),
        ({"mood": 11}, "mood"),
        ({"mood": -1}, "mood"),
        ({"mood": 4.5}, "mood"),
        ({"mood": True}, "mood"),
        ({"anxiety": []}, "anxiety"),
        ({"safety": "false"}, "safety"),
        ({"safety": 0}, "safety"),
        ({"craving": {"alcohol": 11}}, "craving.alcohol"),
        ({"craving": {"alcohol": "6"}}, "craving.alcohol"),
        ({"craving": {"tea": 5}}, "craving.tea"),
        ({"craving": None}, "craving"),
        ({"used": ["tea"]}, "used[0]"),
        ({"note": "x" * 2_001}, "note"),
        ({"kind": "weekly"}, "kind"),
        ({"answered_at": "2026-11-22T16:14:03"}, "answered_at"),
        ({"answered_at": "yesterday"}, "answered_at"),
        ({"streak": 3}, "streak"),
        ({"time_zone": "a\u0000b"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"time_zone": "UTC\n"}, "time_zone"),
    ],
)
async def test_bad_field_is_refused_by_name_and_nothing_is_stored(
    http: httpx.AsyncClient, here: Setting, answers: dict[str, object], field: str
) -> None:
    reply = await put(http, here.phone, form_now() | answers)
    assert reply.status_code == 400, reply.text
    assert [each["field"] for each in reply.json()["errors"]] == [field]
    assert await count(here, "check_in") == 0
    assert await count(here, "fold_due") == 0


async def test_every_bad_field_is_named_at_once(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await put(http, here.phone, {"kind": "daily", "mood": 77, "craving": {"alcohol": 12, "cocaine": -3}})
    named = {each["field"] for each in reply.json()["errors"]}
    assert named == {"answered_at", "sent_at", "time_zone", "mood", "craving.alcohol", "craving.cocaine"}


async def test_refused_values_never_come_back(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await put(http, here.phone, form_now(used=["heroin-canary"], kind="canary"))
    assert reply.status_code == 400
    assert "canary" not in reply.text


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"note":"caf\xe9"}', b"[" * 60_000])
async def test_a_body_that_is_no_object_is_refused(http: httpx.AsyncClient, here: Setting, raw: bytes) -> None:
    reply = await http.put(f"/v1/check-ins/{uuid4()}", content=raw, headers=here.phone.headers)
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"


async def test_an_item_with_broken_letters_loses_no_other_and_its_yes_to_safety_gets_the_card(
    http: httpx.AsyncClient, here: Setting
) -> None:
    good, other = ({**form_now(), "id": str(uuid4())} for _ in range(2))
    broken = b'{"id":"%s","safety":true,"note":"caf\xe9"}' % str(uuid4()).encode()
    raw = b"[" + b",".join([json.dumps(good).encode(), broken, json.dumps(other).encode()]) + b"]"
    reply = await http.post("/v1/check-ins/batch", content=raw, headers=here.phone.headers)
    assert reply.status_code == 200, reply.text
    assert [each["status"] for each in reply.json()["results"]] == [201, 400, 201]
    assert reply.json()["crisis"]


async def test_too_large_a_body_is_refused(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await put(http, here.phone, form_now(note="x" * 70_000))
    assert reply.status_code == 413
    batch = await http.post("/v1/check-ins/batch", content=b"x" * 1_100_000, headers=here.phone.headers)
    assert batch.status_code == 413
    # Nobody can tell what stood in it.
    assert batch.json()["crisis"]


async def test_wrong_tokens_are_refused(http: httpx.AsyncClient, here: Setting) -> None:
    body = form_now()
    for authorization in ("", "Bearer x", "Basic abc", f"Bearer neap_access_{uuid4().hex}_{'a' * 43}"):
        reply = await http.put(f"/v1/check-ins/{uuid4()}", json=body, headers={"Authorization": authorization})
        assert reply.status_code == 401, authorization
    wrong = here.phone.access_token[:-4] + "AAAA"
    reply = await http.put(f"/v1/check-ins/{uuid4()}", json=body, headers={"Authorization": f"Bearer {wrong}"})
    assert reply.status_code == 401
    assert await count(here, "check_in") == 0


async def test_an_id_that_is_no_uuid_is_refused(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await http.put("/v1/check-ins/seven", json=form_now(), headers=here.phone.headers)
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["field"] == "id"


@pytest.mark.parametrize(
    "spoil",
    [
        {},
        {"mood": 99},
        {"streak": 1},
        {"kind": "weekly"},
    ],
)
async def test_positive_safety_answer_gets_the_crisis_card_whatever_else_is_wrong(
    http: httpx.AsyncClient, here: Setting, spoil: dict[str, object]
) -> None:
    body = form_now(safety=True) | spoil
    reply = await put(http, here.phone, body)
    assert reply.json()["crisis"], reply.text
    anonymous = await http.put(f"/v1/check-ins/{uuid4()}", json=body)
    assert anonymous.status_code == 401
    assert anonymous.json()["crisis"]


async def test_positive_safety_answer_opens_an_urgent_alert_in_the_same_transaction(
    http: httpx.AsyncClient, here: Setting
) -> None:
    reply = await put(http, here.phone, form_now(safety=True))
    assert reply.status_code == 201
    async with database.transaction(here.owner, here.clinic_id) as db:
        tiers = [record["tier"] for record in await db.connection.fetch("select tier from alert")]
    assert tiers == [1]


async def test_batch_keeps_order_and_one_bad_item_never_loses_the_others(
    http: httpx.AsyncClient, here: Setting
) -> None:
    good, twin = form_now() | {"id": str(ids.new())}, form_now() | {"id": str(ids.new())}
    items = [good, form_now(mood=99) | {"id": str(ids.new())}, "nonsense", good, twin | {"safety": True}]
    reply = await http.post("/v1/check-ins/batch", json=items, headers=here.phone.headers)
    assert reply.status_code == 200, reply.text
    results = reply.json()["results"]
    assert [result["status"] for result in results] == [201, 400, 400, 200, 201]
    assert results[0]["id"] == good["id"]
    assert results[1]["problem"]["errors"][0]["field"] == "mood"
    assert results[2]["id"] is None
    assert reply.json()["crisis"]
    assert await count(here, "check_in") == 2


async def test_an_unreadable_item_loses_neither_the_others_nor_the_crisis_card(
    http: httpx.AsyncClient, here: Setting
) -> None:
    good = json.dumps(form_now(safety=True) | {"id": str(ids.new())})
    half = json.dumps(form_now(note="cut \ud83d") | {"id": str(ids.new())})
    deep = "[" * 20_000 + "]" * 20_000
    body = f'[{good}, {half}, 1e400, {deep}, {{"a": NaN}}]'
    reply = await http.post("/v1/check-ins/batch", content=body, headers=here.phone.headers)
    assert reply.status_code == 200, reply.text
    assert [result["status"] for result in reply.json()["results"]] == [201, 201, 400, 400, 400]
    assert reply.json()["results"][1]["check_in"]["note"] == "cut ?"
    assert reply.json()["crisis"]


@pytest.mark.parametrize("spoilt", ["NaN", "1e999", '"\\ud83d"', '"' + "x" * 70_000 + '"'])
async def test_the_crisis_card_comes_with_whatever_can_still_be_read(
    http: httpx.AsyncClient, here: Setting, spoilt: str
) -> None:
    body = json.dumps(form_now(safety=True) | {"mood": "MOOD"}).replace('"MOOD"', spoilt)
    reply = await http.put(f"/v1/check-ins/{uuid4()}", content=body, headers=here.phone.headers)
    assert reply.status_code in {400, 413}
    assert reply.json()["crisis"]


async def test_an_empty_note_is_no_note(http: httpx.AsyncClient, here: Setting) -> None:
    check_in_id, form = ids.new(), form_now(note="")
    first = await put(http, here.phone, form, check_in_id)
    again = await put(http, here.phone, form | {"note": None}, check_in_id)
    assert (first.status_code, again.status_code) == (201, 200)


@pytest.mark.parametrize("rest", [b'"' + b'\\"' * 300_000, b"[" * 300_000, b'"' * 300_001])
async def test_what_never_ends_is_one_bad_item_and_holds_up_nobody(
    http: httpx.AsyncClient, here: Setting, rest: bytes
) -> None:
    good = json.dumps({"id": str(uuid4()), **form_now()}).encode()
    body = b"[" + good + b"," + rest + b"]"
    reply = await http.post("/v1/check-ins/batch", content=body, headers=here.phone.headers)
    assert [each["status"] for each in reply.json()["results"]] == [201, 400]
    stranger = {"Authorization": f"Bearer neap_access_{'0' * 32}_{'A' * 43}"}
    assert (await http.post("/v1/check-ins/batch", content=body, headers=stranger)).status_code == 401


async def test_batch_of_more_than_a_hundred_is_refused_whole(http: httpx.AsyncClient, here: Setting) -> None:
    items = [form_now() | {"id": str(ids.new())} for _ in range(101)]
    reply = await http.post("/v1/check-ins/batch", json=items, headers=here.phone.headers)
    assert reply.status_code == 400
    assert await count(here, "check_in") == 0


async def test_too_often_says_when_to_try_again(http: httpx.AsyncClient, here: Setting) -> None:
    replies = [await put(http, here.phone, {"safety": True}) for _ in range(125)]
    refused = replies[-1]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["crisis"]


async def test_history_pages_newest_first_without_a_gap(http: httpx.AsyncClient, here: Setting) -> None:
    start = datetime.now(UTC) - timedelta(days=9)
    for day in range(7):
        answered_at = (start + timedelta(days=day)).isoformat()
        await put(http, here.phone, form_now(mood=day) | {"answered_at": answered_at})
    pages, cursor = [], None
    while True:
        query = {"limit": "3"} | ({"before": cursor} if cursor else {})
        page = (await http.get("/v1/check-ins", params=query, headers=here.phone.headers)).json()
        pages.append([item["mood"] for item in page["items"]])
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == [[6, 5, 4], [3, 2, 1], [0]]


@pytest.mark.parametrize(
    "query",
    [
        {"before": "nonsense"},
        {"before": "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTE0OjAwIiwiMDAwMDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAwIl0"},
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "x"},
    ],
)
async def test_history_refuses_bad_queries(http: httpx.AsyncClient, here: Setting, query: dict[str, str]) -> None:
    reply = await http.get("/v1/check-ins", params=query, headers=here.phone.headers)
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["field"] in query


async def test_today_says_what_is_due_and_what_comes(http: httpx.AsyncClient, here: Setting) -> None:
    now = datetime.now(UTC)
    async with database.transaction(here.owner, here.clinic_id) as db:
        course = (await courses.of(db, here.client_id))[0]
        given = await infusions.plan(
            db, here.client_id, course.course_id, planned_at=now - timedelta(days=3), by=None, now=now
        )
        await infusions.give(db, given, given_at=now - timedelta(days=3), by=None, now=now)
        await infusions.plan(db, here.client_id, course.course_id, planned_at=now + timedelta(days=2), by=None, now=now)
    before = (await http.get("/v1/today", headers=here.phone.headers)).json()
    assert before["due"] is True
    assert before["substances"] == ["alcohol"]
    assert before["last_infusion"] == {"number": 1, "days_ago": 3}
    assert before["next_infusion"] is not None
    assert before["crisis"]
    assert before["fictional"] is True
    await put(http, here.phone, form_now())
    after = (await http.get("/v1/today", headers=here.phone.headers)).json()
    assert after["due"] is False
    assert after["last"]["mood"] == 4


async def test_a_check_in_that_lacks_a_substance_of_the_course_is_stored_as_partly_answered(
    http: httpx.AsyncClient, here: Setting
) -> None:
    body = (await put(http, here.phone, form_now(craving={"cocaine": 3}))).json()["check_in"]
    assert body["partly"] is True
    assert body["craving"] == {"cocaine": 3}
    moment = (await put(http, here.phone, form_now(kind="moment", craving={"cocaine": 3}))).json()["check_in"]
    assert moment["partly"] is False
    assert moment["craving"] == {"cocaine": 3}


async def test_notes_are_sealed_at_rest_and_open_only_for_their_row(http: httpx.AsyncClient, here: Setting) -> None:
    await put(http, here.phone, form_now(note="canary in the mine"))
    async with database.transaction(here.owner, here.clinic_id) as db:
        sealed = await db.value("select note_sealed from check_in")
    assert isinstance(sealed, bytes)
    assert b"canary" not in sealed


async def test_database_away_gives_503_with_the_crisis_card(settings: Config, here: Setting) -> None:
    async with web.running(settings) as application, web.client_of(application) as http:
        assert (await put(http, here.phone, form_now())).status_code == 201
        application.state.services.pool.terminate()
        reply = await put(http, here.phone, form_now(safety=True))
    assert reply.status_code == 503
    assert reply.headers["retry-after"]
    assert reply.json()["crisis"]


async def test_every_error_is_a_problem(http: httpx.AsyncClient) -> None:
    for reply in (
        await http.get("/v1/nothing"),
        await http.post("/v1/today"),
        await http.get("/v1/today"),
    ):
        assert reply.headers["content-type"] == "application/problem+json", reply.text
        assert set(reply.json()) >= {"type", "title", "status", "detail"}


async def test_openapi_describes_every_phone_route(http: httpx.AsyncClient) -> None:
    document = json.loads((await http.get("/v1/openapi.json")).content)
    assert document["openapi"].startswith("3.1")
    assert document["paths"]["/v1/check-ins/{check_in_id}"]["put"]["requestBody"]
    assert "409" in document["paths"]["/v1/check-ins/{check_in_id}"]["put"]["responses"]
    assert "CheckInForm" in document["components"]["schemas"]


async def test_another_clinics_token_reaches_nothing_here(http: httpx.AsyncClient, here: Setting) -> None:
    elsewhere = await a_clinic(here.owner, slug="elsewhere")
    secret = here.phone.access_token.split("_", 3)[3]
    forged = f"neap_access_{elsewhere.clinic_id.hex}_{secret}"
    reply = await http.get("/v1/today", headers={"Authorization": f"Bearer {forged}"})
    assert reply.status_code == 401


async def test_clients_of_one_clinic_see_only_their_own(http: httpx.AsyncClient, here: Setting) -> None:
    await put(http, here.phone, form_now())
    async with database.transaction(here.owner, here.clinic_id) as db:
        other = await a_client(db, given_name="Petr", substances=[Substance.COCAINE])
        phone = await a_phone(db, other, now=datetime.now(UTC))
        assert await clients.get(db, other)
    assert (await http.get("/v1/check-ins", headers=phone.headers)).json()["items"] == []
