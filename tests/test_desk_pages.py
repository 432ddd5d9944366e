"""The desk's reading pages, over HTTP against the real database."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import pytest

from schemas.alert import Finding, Outcome, Rule, Tier
from schemas.staff import Role
from schemas.trend import Status
from service import database
from service.alerting import alerts
from service.config import Config
from service.database import Pool
from service.desk import caseload, sentences
from service.facts import courses, infusions, sessions
from service.people import access, clients
from service.people.access import Permission
from service.web.services import Services
from tests.builders import MASTER, an_answer
from tests.desk import a_finding, a_person, a_session, a_trend, a_trend_day, an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


INLINE_CODE = re.compile(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


async def test_caseload_says_first_who_needs_somebody_and_why(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_followed_client(db, given_name="Aaron")
        watched = await a_followed_client(db, given_name="Berta", status=Status.WATCH)
        worse = await a_followed_client(db, given_name="Ylva", craving=8, status=Status.NOT_ON_TRACK)
        urgent = await a_followed_client(db, given_name="Zoe")
        await an_alert(db, worse)
        await an_alert(db, urgent, Rule.SAFETY, Tier.URGENT)
    page = (await desk.get("/caseload")).text
    assert "<h1>Two people need you</h1>" in page
    assert "of 4 · 1 urgent, 1 not on track" in page
    order = [page.index(name) for name in ("Marlow, Zoe", "Marlow, Ylva", "Marlow, Berta", "Marlow, Aaron")]
    assert order == sorted(order)
    assert "Safety question answered yes on" in page
    assert "Craving 2.1 points above usual since about" in page
    assert str(watched) in page


async def test_caseload_shows_those_who_are_asked_for_and_says_when_nobody_is_like_that(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        ines = await a_followed_client(db, given_name="Ines", status=Status.NOT_ON_TRACK, craving=9)
        await a_followed_client(db, given_name="Ole")
        await clients.assign(db, ines, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))

    async def shown(**asked: str) -> list[str]:
        reply = await desk.post("/caseload", **asked)
        # A name stands readable in no address; yet what was asked for has one, so that one can come back to it.
        assert reply.status_code == 303
        told = parse_qs(urlsplit(reply.headers["location"]).query)
        assert set(told) <= {"status", "whose", "sort", "found"}
        # Two letters of a short search stand in any sealed text by chance; a whole name does not.
        hidden = told.get("found", [""])[0]
        opened = base64.urlsafe_b64decode(hidden + "=" * (-len(hidden) % 4)).lower()
        readable = reply.headers["location"].casefold()
        assert all(name.encode() not in opened and name not in readable for name in ("marlow", "ines"))
        page = (await desk.get(reply.headers["location"])).text
        return [name for name in ("Ines", "Ole") if f", {name}</a>" in page]

    assert await shown() == ["Ines", "Ole"]
    assert await shown(find="oL") == ["Ole"]
    assert await shown(find="marlow ines") == ["Ines"]
    assert await shown(find="Marlow, Ines") == ["Ines"], "as the caseload writes it"
    assert await shown(status="on_track") == ["Ole"]
    assert await shown(status="nonsense", sort="name") == ["Ines", "Ole"]
    assert await shown(whose="mine") == ["Ines"]
    assert await shown(status="discharged") == []
    assert "Nobody of 2 is like that" in (await desk.get("/caseload?status=discharged")).text


async def test_a_search_by_name_is_read_by_whoever_typed_it_alone(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_followed_client(db, given_name="Ines")
        colleague = await a_session(db, await a_person(db, Role.COORDINATOR, name="Tom Okafor"))
    address = (await desk.post("/caseload", find="Ines")).headers["location"]
    assert 'name="find" value="Ines"' in (await desk.get(address)).text
    for spoilt in (address[:-6], address + "AA", "/caseload?found=%00", "/caseload?found=" + "A" * 900):
        assert 'name="find" value=""' in (await desk.get(spoilt)).text
    others = await desk.http.get(address, headers=colleague.cookie)
    assert 'name="find" value=""' in others.text


async def test_caseload_takes_the_same_number_of_queries_for_any_number_of_clients(desk: Desk) -> None:
    counts = []
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        reach = access.reach(desk.person.staff_id, [Role.COORDINATOR], Permission.SEE_CLIENTS)
        for more in (1, 12):
            for _ in range(more):
                client_id = await a_followed_client(db)
                await an_alert(db, client_id)
            asked: list[str] = []
            with db.connection.query_logger(lambda query, asked=asked: asked.append(query.query)):
                read = await caseload.read(db, reach, now=datetime.now(UTC))
            counts.append(len(asked))
    assert len(read.lines) == 13
    assert counts[0] == counts[1] <= 6


async def test_more_requests_than_connections_at_once_all_get_their_answer(desk: Desk) -> None:
    services: Services = desk.application.state.services
    services.views.forget(desk.clinic.clinic_id)
    many = 2 * services.config.web_pool_size
    async with asyncio.timeout(30):
        replies = await asyncio.gather(*(desk.get("/caseload", **{"Neap-By-Itself": "yes"}) for _ in range(many)))
    assert {each.status_code for each in replies} == {200}


async def test_a_request_that_arrives_slowly_holds_no_connection(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"language=es&csrf_token="
        begun.set()
        await go_on.wait()
        yield visited.person.csrf_token.encode()

    one_connection = msgspec.structs.replace(settings, web_pool_size=1)
    async with a_desk(one_connection, owner_pool, tmp_path) as visited, asyncio.timeout(30):
        headers = visited.person.cookie | {"Content-Type": "application/x-www-form-urlencoded"}
        slow = asyncio.create_task(visited.http.post("/account/language", content=slowly(), headers=headers))
        await begun.wait()
        assert (await visited.get("/caseload")).status_code == 200
        go_on.set()
        assert (await slow).status_code == 303


async def test_a_real_clinic_beside_the_demonstration_is_not_called_fictional(desk: Desk) -> None:
    assert "Nobody here exists" in (await desk.get("/caseload")).text
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await db.execute("update clinic_setting set fictional = false where clinic_id = $1", db.clinic_id)
    desk.application.state.services.views.forget(desk.clinic.clinic_id)
    assert "Nobody here exists" not in (await desk.get("/caseload")).text


async def test_every_page_is_strict_fictional_and_not_kept(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        await an_answer(db, client_id, datetime.now(UTC).date() - timedelta(days=1))
        alert_id = await an_alert(db, client_id)
        closed = await an_alert(db, await a_followed_client(db))
        await alerts.resolve(db, closed, Outcome.CALLED, by=desk.person.staff_id, now=datetime.now(UTC))
    addresses = [
        *("/caseload", "/caseload?sort=name", "/inbox", "/inbox/history", f"/alerts/{alert_id}", f"/alerts/{closed}"),
        *(f"/clients/{client_id}", f"/clients/{client_id}/manage", "/clients/new", "/staff", "/settings", "/account"),
        *("/harbour/sign-in", "/sign-in", "/demo-mail", "/alerts/00000000-0000-7000-8000-000000000000"),
    ]
    for address in addresses:
        headers = {} if address == "/harbour/sign-in" else desk.person.cookie
        page = await desk.http.get(address, headers=headers)
        assert page.status_code in (200, 404), address
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert not INLINE_CODE.search(page.text), address
        assert page.text.count("<h1") == 1, address
        assert 'lang="en"' in page.text
        if address != "/sign-in" and page.status_code == 200:
            assert "Nobody here exists" in page.text, address


async def test_pages_of_a_desk_without_anything_say_what_will_stand_there(desk: Desk) -> None:
    assert "Add the first client" in (await desk.get("/caseload")).text
    assert "Nothing is open" in (await desk.get("/inbox")).text
    assert "No alert has been closed yet" in (await desk.get("/inbox/history")).text
    assert "No mail yet" in (await desk.get("/demo-mail")).text


async def test_an_alert_is_acknowledged_noted_and_resolved_by_plain_forms(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        alert_id = await an_alert(db, client_id)
    page = (await desk.get(f"/alerts/{alert_id}")).text
    assert "rule worsening, rule set 1" in page
    assert "+2.1 ± 0.4" in page
    assert "Maren Holt, e-mail" in page
    assert "waiting to be sent" in page
    taken = await desk.post(f"/alerts/{alert_id}/acknowledge", next="/inbox")
    assert taken.headers["location"] == "/inbox"
    assert "Maren Holt has it until" in (await desk.get("/inbox")).text
    await desk.post(f"/alerts/{alert_id}/note", note="Called, <b>no answer</b>.")
    assert "Called, &lt;b&gt;no answer&lt;/b&gt;." in (await desk.get(f"/alerts/{alert_id}")).text
    unsaid = await desk.post(f"/alerts/{alert_id}/resolve", outcome="")
    assert unsaid.status_code == 400
    assert "Say what came of it" in unsaid.text
    await desk.post(f"/alerts/{alert_id}/resolve", outcome="called", note="Reached in the evening.")
    assert "Nothing is open" in (await desk.get("/inbox")).text
    history = (await desk.get("/inbox/history")).text
    assert "resolved: called" in history
    again = await desk.post(f"/alerts/{alert_id}/acknowledge")
    assert again.status_code == 409
    assert "You closed it at" in again.text


async def test_inbox_answers_nothing_new_while_nothing_changed(desk: Desk) -> None:
    by_itself = {"HX-Request": "true", "Neap-By-Itself": "yes"}
    page = (await desk.get("/inbox")).text
    address = re.search(r'hx-get="(/inbox\?seen=\w+)"', page)
    assert address
    assert (await desk.get(address[1], **by_itself)).status_code == 204
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await an_alert(db, await a_followed_client(db))
    changed = await desk.get(address[1], **by_itself)
    assert changed.status_code == 200
    assert "Ines Marlow" in changed.text
    assert "<html" not in changed.text
    assert ">1<" in (await desk.get("/inbox/count", **by_itself)).text


async def test_history_goes_on_page_by_page_and_shows_each_alert_once(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id, now = await a_followed_client(db), datetime.now(UTC)
        for day in range(60):
            at = now - timedelta(days=day)
            change = await alerts.open_or_join(db, client_id, [a_finding(on=at.date())], now=at, rule_set_version=1)
            await alerts.resolve(db, change.opened[0], Outcome.CALLED, by=desk.person.staff_id, now=at)
    seen: list[str] = []
    address = "/inbox/history"
    while address:
        page = (await desk.get(address)).text
        seen += re.findall(r'href="/alerts/([^"]+)"', page)
        older = re.search(r'href="(/inbox/history\?[^"]+)"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 60


async def test_a_cursor_that_no_page_gave_is_refused_by_name(desk: Desk) -> None:
    beyond = base64.urlsafe_b64encode(b'["9999-12-31T23:59:59-14:00","00000000-0000-7000-8000-000000000000"]').decode()
    for cursor in ("", "2026-11-22T17:00:00Z", beyond):
        page = await desk.http.get("/inbox/history", params={"before": cursor}, headers=desk.person.cookie)
        assert page.status_code == 400
        assert "before" in page.text
        api = await desk.http.get("/v1/alerts", params={"before": cursor}, headers=desk.person.bearer)
        assert [fault["field"] for fault in api.json()["errors"]] == ["before"]


async def test_client_page_shows_reasons_charts_values_and_own_words(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db, craving=8, status=Status.NOT_ON_TRACK)
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now)
        course = (await courses.of(db, client_id))[0]
        infusion = await infusions.plan(
            db, client_id, course.course_id, planned_at=now - timedelta(days=5), by=None, now=now
        )
        await infusions.give(db, infusion, given_at=now - timedelta(days=5), by=None, now=now)
        await sessions.plan(db, client_id, staff_id=None, planned_at=now + timedelta(days=2), by=None, now=now)
        await an_alert(db, client_id)
        answer = await an_answer(db, client_id, now.date() - timedelta(days=1))
        sealer = await clients.sealer_of(db, MASTER, client_id)
        sealed = sealer.seal(b"Walked away.", bound_to=f"check_in:{db.clinic_id}:{answer}:note")
        await db.execute("update check_in set note_sealed = $2 where check_in_id = $1", answer, sealed)
    page = (await desk.get(f"/clients/{client_id}")).text
    for text in (
        "Not on track",
        "Craving 2.1 points above usual",
        "infusion 1 given",
        "Walked away.",
        "All values as a table",
    ):
        assert text in page
    assert f'src="/clients/{client_id}/chart.svg?days=70"' in page
    assert "worse than the usual band" in page
    assert len(re.findall(r'<th scope="row">\d+ \w+</th>', page)) == 30


async def test_chart_is_kept_by_its_data_and_drawn_again_after_its_process_died(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
    address = f"/clients/{client_id}/chart.svg"
    drawn = await desk.get(address)
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.headers["cache-control"] == "no-store"
    assert "Craving" in drawn.text
    assert "prefers-color-scheme:dark" in drawn.text
    same = await desk.get(address, **{"If-None-Match": drawn.headers["etag"]})
    assert same.status_code == 304
    held: Services = desk.application.state.services
    held.charts.kill()
    narrow = await desk.get(f"{address}?shape=narrow")
    assert narrow.status_code == 200
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_trend(db, client_id, [a_trend_day(datetime.now(UTC).date(), craving=9)])
    changed = await desk.get(address, **{"If-None-Match": drawn.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != drawn.headers["etag"]


async def test_reading_a_page_of_health_data_stands_in_the_audit_trail(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        alert_id = await an_alert(db, client_id)
    for address in ("/caseload", "/inbox", f"/clients/{client_id}", f"/clients/{client_id}/chart.svg"):
        await desk.get(address)
    await desk.get(f"/alerts/{alert_id}")
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        rows = await db.connection.fetch(
            "select action, client_id from audit_event where actor_id = $1 order by audit_event_id",
            desk.person.staff_id,
        )
    assert [tuple(row) for row in rows] == [
        ("caseload.read", None),
        ("inbox.read", None),
        ("client.read", client_id),
        ("client.read_chart", client_id),
        ("alert.read", client_id),
    ]


def test_every_rule_has_a_sentence_with_its_numbers() -> None:
    on = datetime(2026, 11, 22, tzinfo=UTC).date()
    said = {}
    for rule in Rule:
        new = a_finding(rule, on=on)
        numbers = new.numbers | {"used": ["opioid"], "silent_days": 3, "days_since_infusion": 6}
        finding = msgspec.convert(
            msgspec.structs.asdict(new)
            | {"numbers": numbers, "finding_id": UUID(int=0), "client_id": UUID(int=0), "alert_id": None}
            | {"found_at": datetime.now(UTC), "origin": "live", "rule_set_version": 1},
            Finding,
        )
        said[rule] = sentences.of_finding(finding, on)
    assert said[Rule.WORSENING] == "Craving 2.1 points above usual since about 18 Nov; 6 of 7 days answered."
    assert said[Rule.OPIOID_USE].startswith("Use of opioid reported on 22 Nov, none in the 7 days before")
    assert said[Rule.SILENCE] == "No answer for 3 days."
    assert said[Rule.WANING] == "The benefit of the last infusion is waning, 6 days after the infusion."
    assert all(sentence.endswith(".") for sentence in said.values())


async def test_the_narrow_chart_draws_as_many_days_as_the_wide_one(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db, days=70)
    drawn = {}
    for shape in ("wide", "narrow"):
        svg = (await desk.get(f"/clients/{client_id}/chart.svg?days=70&shape={shape}")).text
        drawn[shape] = svg.count('aria-roledescription="point"')
    assert drawn["narrow"] == drawn["wide"] >= 3 * 70
