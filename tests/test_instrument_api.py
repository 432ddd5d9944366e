"""Responses to instruments over HTTP: stored once, scored, urgent answers told, the crisis card whatever happens."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schemas.instrument_response import ResponseForm
from service import database, ids
from service.alerting import findings
from service.config import Config
from service.database import Pool
from service.desk import sentences
from service.intake import instrument_intake
from service.web import strict
from service.web.api import instrument_api
from tests.answering import a_response, phq9, send
from tests.builders import MASTER, a_client, a_phone
from tests.checking_in import Setting, a_setting, count

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
async def here(owner_pool: Pool) -> Setting:
    return await a_setting(owner_pool)


async def test_first_response_is_stored_scored_and_audited(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await send(http, here.phone, a_response(phq9(1, 2, 1, 3, 0, 1, 0, 0, 0)))
    assert reply.status_code == 201, reply.text
    body = reply.json()
    assert (body["response"]["total"], body["response"]["missing"], body["response"]["late"]) == (8, [], False)
    assert body["crisis"] is None
    assert body["monitoring"]
    assert await count(here, "instrument_response") == 1
    assert await count(here, "finding") == 0
    async with database.transaction(here.owner, here.clinic_id) as db:
        rows = await db.connection.fetch("select action, client_id from audit_event")
    assert [tuple(row) for row in rows] == [("instrument_response.store", here.client_id)]


async def test_replayed_response_is_stored_once(http: httpx.AsyncClient, here: Setting) -> None:
    response_id, form = ids.new(), a_response(phq9(1, 2, 1, 0, 0, 0, 0, 0, 1))
    first = await send(http, here.phone, form, response_id)
    turned = dict(reversed(list(phq9(1, 2, 1, 0, 0, 0, 0, 0, 1).items())))
    again = form | {"sent_at": datetime.now(UTC).isoformat(), "answers": turned}
    second = await send(http, here.phone, again, response_id)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert await count(here, "instrument_response") == 1
    assert await count(here, "finding") == 1
    async with database.transaction(here.owner, here.clinic_id) as db:
        actions = await db.connection.fetch("select action from audit_event where actor_kind = 'device' order by 1")
    assert [row["action"] for row in actions] == ["instrument_response.resend", "instrument_response.store"]


async def test_concurrent_duplicates_are_stored_once(http: httpx.AsyncClient, here: Setting) -> None:
    response_id, form = ids.new(), a_response(phq9(0, 0, 0, 0, 0, 0, 0, 0, 2))
    replies = await asyncio.gather(*(send(http, here.phone, form, response_id) for _ in range(6)))
    assert sorted(reply.status_code for reply in replies) == [200] * 5 + [201]
    assert await count(here, "finding") == 1


async def test_same_id_with_other_content_or_of_another_client_is_a_conflict(
    http: httpx.AsyncClient, here: Setting
) -> None:
    response_id, form = ids.new(), a_response()
    await send(http, here.phone, form, response_id)
    assert (await send(http, here.phone, form | {"answers": phq9(3)}, response_id)).status_code == 409
    async with database.transaction(here.owner, here.clinic_id) as db:
        other = await a_phone(db, await a_client(db, given_name="Petr"), now=datetime.now(UTC))
    assert (await send(http, other, form, response_id)).status_code == 409


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"instrument": "tea"}, "instrument"),
        ({"instrument": "PHQ-9"}, "instrument"),
        ({"version": 2}, "instrument"),
        ({"version": "1"}, "version"),
        ({"answers": {}}, "answers"),
        ({"answers": {"1": 4}}, "answers.1"),
        ({"answers": {"1": "2"}}, "answers.1"),
        ({"answers": {"1": True}}, "answers.1"),
        ({"answers": {"1": 1.5}}, "answers.1"),
        ({"answers": {"10": 1}}, "answers.10"),
        ({"answers": [1, 2]}, "answers"),
        ({"answered_at": "2026-11-22T16:14:03"}, "answered_at"),
        ({"time_zone": ""}, "time_zone"),
        ({"total": 3}, "total"),
    ],
)
async def test_bad_field_is_refused_by_name_and_nothing_is_stored(
    http: httpx.AsyncClient, here: Setting, fields: dict[str, object], named: str
) -> None:
    reply = await send(http, here.phone, a_response() | fields)
    assert reply.status_code == 400, reply.text
    assert [each["field"] for each in reply.json()["errors"]] == [named]
    assert await count(here, "instrument_response") == 0


async def test_missing_items_are_filled_in_up_to_two_and_then_give_no_total(
    http: httpx.AsyncClient, here: Setting
) -> None:
    two = (await send(http, here.phone, a_response(phq9(2, 2, 2, 2, 2, 2, 2, None, None)))).json()["response"]
    assert (two["total"], two["missing"]) == (18, ["8", "9"])
    three = (await send(http, here.phone, a_response(phq9(2, 2, 2, 2, 2, 2, None, None, None)))).json()["response"]
    assert (three["total"], three["missing"]) == (None, ["7", "8", "9"])


async def test_urgent_answer_is_a_tier_1_finding_and_a_second_one_a_second(
    http: httpx.AsyncClient, here: Setting
) -> None:
    for _ in range(2):
        reply = await send(http, here.phone, a_response(phq9(0, 0, 0, 0, 0, 0, 0, 0, 1)))
        assert reply.status_code == 201
        assert reply.json()["crisis"]
    async with database.transaction(here.owner, here.clinic_id) as db:
        alerts = await db.connection.fetch("select alert_id, tier, state from alert")
        found = await findings.of_alerts(db, [alerts[0]["alert_id"]])
        deliveries = await db.value("select count(*) from delivery where clinic_id = $1", here.clinic_id)
    assert [row["tier"] for row in alerts] == [1]
    assert [(each.rule, each.tier, each.check_in_id) for each in found] == [("instrument_safety", 1, None)] * 2
    assert len({each.instrument_response_id for each in found}) == 2
    said = sentences.of_finding(found[0], found[0].client_day)
    assert said.startswith("PHQ-9: question 9 “Several days” on ")
    assert deliveries == 0  # nobody works at this clinic
    assert await count(here, "finding") == 2


async def test_a_late_urgent_answer_says_how_late_it_is(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await send(http, here.phone, a_response(phq9(0, 0, 0, 0, 0, 0, 0, 0, 3), ago=timedelta(days=9)))
    assert reply.status_code == 201
    assert reply.json()["response"]["late"] is True
    async with database.transaction(here.owner, here.clinic_id) as db:
        numbers = await db.value("select numbers from finding where clinic_id = $1", here.clinic_id)
    assert isinstance(numbers, dict)
    assert (numbers["late_days"], numbers["values"], numbers["above"]) == (9, {"9": 3}, {"9": 0})


URGENT = phq9(0, 0, 0, 0, 0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    "spoil",
    [
        {},
        {"version": 9},
        {"streak": 1},
        {"time_zone": ""},
        {"answers": URGENT | {"3": 99}},
        {"answers": URGENT | {"9": "1"}},
        {"answers": URGENT | {"9": 7}},
        {"answers": {"9": True}},
        {"instrument": "own", "answers": {"b": 1}},
    ],
)
async def test_urgent_answer_gets_the_crisis_card_whatever_else_is_wrong(
    http: httpx.AsyncClient, here: Setting, spoil: dict[str, object]
) -> None:
    body = a_response(URGENT) | spoil
    reply = await send(http, here.phone, body)
    assert reply.json()["crisis"], reply.text
    anonymous = await http.put(f"/v1/instrument-responses/{uuid4()}", json=body)
    assert anonymous.status_code == 401
    assert anonymous.json()["crisis"]


async def test_the_crisis_card_comes_with_a_body_that_is_cut_short_and_not_with_a_calm_one(
    http: httpx.AsyncClient, here: Setting
) -> None:
    cut = json.dumps(a_response(URGENT))[:-1]
    reply = await http.put(f"/v1/instrument-responses/{uuid4()}", content=cut, headers=here.phone.headers)
    assert reply.status_code == 400
    assert reply.json()["crisis"]
    calm = await send(http, here.phone, a_response(phq9(3, 3, 3)) | {"streak": 1})
    assert calm.status_code == 400
    assert "crisis" not in calm.json() or not calm.json()["crisis"]
    assert not instrument_api.says_unsafe(json.dumps(a_response(phq9(3, 3)))[:-1].encode())


async def test_the_crisis_card_comes_with_a_number_that_nothing_holds(http: httpx.AsyncClient, here: Setting) -> None:
    body = json.dumps(a_response(URGENT)).replace('"1": ', f'"1": {"9" * 400}')
    reply = await http.put(f"/v1/instrument-responses/{uuid4()}", content=body, headers=here.phone.headers)
    assert reply.status_code == 400
    assert reply.json()["crisis"]


async def test_too_large_a_response_is_refused_with_the_card(http: httpx.AsyncClient, here: Setting) -> None:
    body = json.dumps(a_response(URGENT)) + " " * 70_000
    reply = await http.put(f"/v1/instrument-responses/{uuid4()}", content=body, headers=here.phone.headers)
    assert reply.status_code == 413
    assert reply.json()["crisis"]


async def test_a_phone_gets_the_items_in_their_exact_words(http: httpx.AsyncClient, here: Setting) -> None:
    reply = await http.get("/v1/instruments/phq9", headers=here.phone.headers)
    assert reply.status_code == 200
    assert reply.json()["items"][0]["text"] == "Little interest or pleasure in doing things"
    assert reply.json()["options"][0]["text"] == "Not at all"
    assert (await http.get("/v1/instruments/tea", headers=here.phone.headers)).status_code == 404
    assert (await http.get("/v1/instruments/phq9")).status_code == 401


async def test_today_lists_what_is_due_until_it_is_answered(http: httpx.AsyncClient, here: Setting) -> None:
    async def due() -> dict[str, tuple[str, str]]:
        today = (await http.get("/v1/today", headers=here.phone.headers)).json()
        return {each["code"]: (each["since"], each["until"]) for each in today["instruments"]}

    before = await due()
    assert {"phq9", "gad7", "pacs"} <= set(before)
    since, until = before["phq9"]
    assert datetime.fromisoformat(until) - datetime.fromisoformat(since) == timedelta(days=6)
    await send(http, here.phone, a_response())
    after = await due()
    assert after == {code: days for code, days in before.items() if code != "phq9"}


async def test_a_response_of_an_earlier_week_that_arrives_late_answers_that_week(
    http: httpx.AsyncClient, here: Setting
) -> None:
    await send(http, here.phone, a_response(ago=timedelta(days=7)))
    today = (await http.get("/v1/today", headers=here.phone.headers)).json()
    assert "phq9" in {each["code"] for each in today["instruments"]}


forms = st.builds(
    lambda answers, zone: a_response(answers, time_zone=zone),
    st.dictionaries(st.sampled_from([str(each) for each in range(1, 10)]), st.integers(0, 3), min_size=1),
    st.sampled_from(["America/Chicago", "UTC", "Moon/Crater"]),
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=forms, order=st.randoms(use_true_random=False))
def test_content_is_the_same_in_any_order_and_another_when_an_answer_differs(
    form: dict[str, object], order: object, settings: Config
) -> None:
    def hashed(fields: dict[str, object]) -> bytes:
        return instrument_intake.content_hash(strict.decode(json.dumps(fields).encode(), ResponseForm), MASTER)

    answers = dict(form["answers"]) if isinstance(form["answers"], dict) else {}
    turned = dict(sorted(answers.items(), key=lambda each: hash((each, str(order)))))
    assert hashed(form) == hashed(form | {"answers": turned, "sent_at": "2026-01-01T00:00:00Z"})
    item = next(iter(answers))
    assert hashed(form) != hashed(form | {"answers": answers | {item: (answers[item] + 1) % 4}})
