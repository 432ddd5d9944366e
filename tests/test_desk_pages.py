"""The desk's pages, over HTTP against the real database."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import Litestar

from schemas.alert import Finding, Outcome, Rule, Tier
from schemas.clinic import Clinic
from schemas.course import Substance
from schemas.staff import Role
from schemas.trend import Status
from service import access, alerts, caseload, clients, courses, database, devices, infusions, sentences, sessions
from service.access import Permission
from service.config import Config
from service.database import Db, Pool
from service.web.services import Services
from tests.builders import MASTER, a_client, a_clinic, an_answer
from tests.desk import SignedInAs, a_finding, a_person, a_session, a_trend, a_trend_day, an_alert
from tests.web import client_of, running

REPOSITORY = Path(__file__).parent.parent
INLINE_CODE = re.compile(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


class Desk(NamedTuple):
    """A running application, a clinic, and a person who has every role."""

    application: Litestar
    http: httpx.AsyncClient
    owner: Pool
    clinic: Clinic
    person: SignedInAs

    async def get(self, address: str, **headers: str) -> httpx.Response:
        return await self.http.get(address, headers=self.person.cookie | headers)

    async def post(self, address: str, **form: str) -> httpx.Response:
        data = form | {"csrf_token": self.person.csrf_token}
        return await self.http.post(address, data=data, headers=self.person.cookie)


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_session(db, await a_person(db, roles=list(Role), name="Maren Holt"))
    config = msgspec.structs.replace(settings, demo=True, demo_mail_dir=tmp_path / "mail")
    async with running(config) as application, client_of(application) as http:
        yield Desk(application, http, owner_pool, clinic, person)


def days_before(count: int) -> list[datetime]:
    now = datetime.now(UTC)
    return [now - timedelta(days=count - at) for at in range(count)]


async def a_followed_client(
    db: Db, *, given_name: str = "Ines", craving: int = 3, status: Status = Status.ON_TRACK, days: int = 30
) -> UUID:
    client_id = await a_client(db, given_name=given_name)
    trend = [a_trend_day(at.date(), craving=None if n % 9 == 4 else 3) for n, at in enumerate(days_before(days))]
    trend[-1] = a_trend_day(trend[-1].client_day, craving=craving, status=status)
    await a_trend(db, client_id, trend)
    return client_id


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
    assert "Craving 2.1 above usual since about" in page
    assert str(watched) in page


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
        *("/harbour/sign-in", "/sign-in", "/demo/mail", "/alerts/00000000-0000-7000-8000-000000000000"),
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
    assert "No mail yet" in (await desk.get("/demo/mail")).text


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
    assert "Somebody may have been faster" in again.text


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
        await sessions.plan(db, client_id, staff_id=None, planned_at=now + timedelta(days=2))
        await an_alert(db, client_id)
        answer = await an_answer(db, client_id, now.date() - timedelta(days=1))
        sealer = await clients.sealer_of(db, MASTER, client_id)
        sealed = sealer.seal(b"Walked away.", bound_to=f"check_in:{db.clinic_id}:{answer}:note")
        await db.execute("update check_in set note_sealed = $2 where check_in_id = $1", answer, sealed)
    page = (await desk.get(f"/clients/{client_id}")).text
    for text in (
        "Not on track",
        "Craving 2.1 above usual",
        "infusion 1 given",
        "Walked away.",
        "All values as a table",
    ):
        assert text in page
    assert f'src="/clients/{client_id}/chart.svg?days=70"' in page
    assert "outside the usual band" in page
    assert len(re.findall(r'<th scope="row">\d+ \w+</th>', page)) == 30


async def test_chart_is_kept_by_its_data_and_drawn_again_after_its_process_died(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
    address = f"/clients/{client_id}/chart.svg"
    drawn = await desk.get(address)
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.headers["cache-control"] == "private, no-cache"
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


async def test_a_client_is_added_with_a_course_and_gets_a_code_in_the_fragment(desk: Desk) -> None:
    token = {"csrf_token": desk.person.csrf_token, "given_name": "Per", "time_zone": "Europe/Oslo"}
    lacking = await desk.http.post("/clients", data=token, headers=desk.person.cookie)
    assert lacking.status_code == 400
    assert "at least one" in lacking.text
    form = token | {"substances": ["alcohol", "cocaine"], "primary": "cocaine"}
    added = await desk.http.post("/clients", data=form, headers=desk.person.cookie)
    client_id = UUID(added.headers["location"].split("/")[2])
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        treated = await courses.substances_of(db, client_id)
        team = await clients.care_team_of(db, client_id, now=datetime.now(UTC))
    assert [each.substance for each in treated if each.is_primary] == [Substance.COCAINE]
    assert [member.staff_id for member in team] == [desk.person.staff_id]
    page = (await desk.post(f"/clients/{client_id}/enrolment-code")).text
    code = re.search(r'<code class="code">([0-9A-Z-]+)</code>', page)
    assert code
    assert "<svg" in page
    assert code[1] not in (await desk.get(f"/clients/{client_id}/manage")).text
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        assert await devices.devices_of(db, client_id) == []


async def test_a_colleague_joins_and_leaves_the_care_team(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        nurse = await a_person(db, Role.NURSE, name="Tomas Reyes")
        nurse_session = await a_session(db, nurse)
    address = f"/clients/{client_id}"
    assert (await desk.http.get(address, headers=nurse_session.bearer)).status_code == 404
    await desk.post(f"{address}/team", staff_id=str(nurse))
    assert (await desk.http.get(address, headers=nurse_session.bearer)).status_code == 200
    await desk.post(f"{address}/team/{nurse}/remove")
    assert (await desk.http.get(address, headers=nurse_session.bearer)).status_code == 404


async def test_an_admin_invites_resets_disables_and_enables(desk: Desk) -> None:
    invited = await desk.post("/staff", name="Tomas Reyes", email="Tomas@Clinic.example", roles="nurse")
    link = re.search(r'value="http://127.0.0.1:8080(/link/neap_link_[^"]+)"', invited.text)
    assert link
    assert (await desk.http.get(link[1])).status_code == 200
    twice = await desk.post("/staff", name="Tomas Reyes", email="tomas@clinic.example", roles="nurse")
    assert twice.status_code == 409
    nobody = await desk.post("/staff", name="", email="nowhere", roles="")
    assert nobody.status_code == 400
    page = (await desk.get("/staff")).text
    staff_id = re.search(r'/staff/([0-9a-f-]{36})/reset" ?>(?:(?!</tr>).)*?New link for Tomas', page, re.DOTALL)
    assert staff_id
    reset = await desk.post(f"/staff/{staff_id[1]}/reset")
    assert "/link/neap_link_" in reset.text
    assert (await desk.http.get(link[1])).status_code == 410
    assert (await desk.post(f"/staff/{staff_id[1]}/disable")).status_code == 303
    assert (await desk.post(f"/staff/{staff_id[1]}/reset")).status_code == 409
    assert (await desk.post(f"/staff/{staff_id[1]}/enable")).status_code == 303
    assert (await desk.post(f"/staff/{desk.person.staff_id}/disable")).status_code == 409


async def test_a_webhooks_secret_is_shown_once_and_odd_addresses_are_refused(desk: Desk) -> None:
    for url in ("http://hooks.example/x", "https://me:secret@hooks.example/", "javascript:alert(1)", "https://[", ""):
        assert (await desk.post("/settings/webhooks", url=url)).status_code == 400
    added = await desk.post("/settings/webhooks", url="https://hooks.example/neap")
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", added.text)
    assert secret
    page = (await desk.get("/settings")).text
    assert "https://hooks.example/neap" in page
    assert secret[0] not in page
    endpoint = re.search(r"/settings/webhooks/([0-9a-f-]{36})/disable", page)
    assert endpoint
    await desk.post(f"/settings/webhooks/{endpoint[1]}/disable")
    assert "disabled" in (await desk.get("/settings")).text


async def test_demo_mail_shows_what_was_caught_newest_first_and_only_in_the_demonstration(
    desk: Desk, settings: Config
) -> None:
    mail = Path(desk.application.state.services.config.demo_mail_dir)
    mail.mkdir()
    for number in (1, 2):
        text = f"Subject: Message {number}\nTo: t@demo.example\n\n<i>Look</i>: http://127.0.0.1:8080/alerts/{number}\n"
        (mail / f"0193{number}000-0000-7000-8000-000000000000.eml").write_text(text)
    hooks = mail.parent / "webhooks"
    hooks.mkdir()
    (hooks / "01930000-0000-7000-8000-000000000000.json").write_text('{"type":"alert.opened"}')
    page = (await desk.http.get("/demo/mail")).text
    assert page.index("Message 2") < page.index("Message 1")
    assert '<a href="http://127.0.0.1:8080/alerts/1">' in page
    assert "&lt;i&gt;Look" in page
    assert "alert.opened" in page
    async with running(settings) as real, client_of(real) as http:
        assert (await http.get("/demo/mail")).status_code == 404


async def test_static_files_are_kept_for_good_under_their_release_and_asked_for_otherwise(desk: Desk) -> None:
    page = (await desk.get("/caseload")).text
    address = re.search(r'href="(/static/[0-9a-f]{12}/desk.css)"', page)
    assert address
    kept = await desk.http.get(address[1])
    assert "immutable" in kept.headers["cache-control"]
    plain = await desk.http.get("/static/desk.css")
    assert plain.headers["cache-control"] == "no-cache"
    assert plain.content == kept.content
    old = await desk.http.get("/static/000000000000/desk.css")
    assert old.headers["cache-control"] == "no-cache"
    same = await desk.http.get("/static/desk.css", headers={"If-None-Match": plain.headers["etag"]})
    assert same.status_code == 304
    for outside in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/nothing.css"):
        assert (await desk.http.get(outside)).status_code == 404


async def test_staff_api_lists_decides_and_refuses_like_the_pages(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db, craving=8, status=Status.NOT_ON_TRACK)
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        alert_id = await an_alert(db, client_id)
    http, who = desk.http, desk.person.bearer
    (line,) = (await http.get("/v1/clients", headers=who)).json()["items"]
    assert (line["status"], line["craving_now"], line["needs_somebody"]) == ("not_on_track", 8, True)
    assert (await http.get(f"/v1/clients/{client_id}", headers=who)).json() == line
    trend = (await http.get(f"/v1/clients/{client_id}/trend", params={"days": 5}, headers=who)).json()["items"]
    assert [day["craving"] for day in trend][-1] == 8
    assert len(trend) == 5
    (alert,) = (await http.get("/v1/alerts", headers=who)).json()["items"]
    assert alert["reasons"][0]["sentence"].startswith("Craving 2.1 above usual")
    assert alert["reasons"][0]["numbers"]["statistic"] == 5.61
    taken = await http.post(f"/v1/alerts/{alert_id}/acknowledge", headers=who)
    assert "lease_until" in taken.json()
    bad = await http.post(f"/v1/alerts/{alert_id}/resolve", json={"outcome": "shrug", "more": 1}, headers=who)
    assert bad.status_code == 400
    assert bad.headers["content-type"].startswith("application/problem+json")
    assert {fault["field"] for fault in bad.json()["errors"]} == {"outcome", "more"}
    note = await http.post(f"/v1/alerts/{alert_id}/note", json={"note": "Called."}, headers=who)
    assert note.status_code == 204
    done = await http.post(f"/v1/alerts/{alert_id}/resolve", json={"outcome": "called"}, headers=who)
    assert done.status_code == 204
    again = await http.post(f"/v1/alerts/{alert_id}/resolve", json={"outcome": "called"}, headers=who)
    assert again.status_code == 409
    assert (await http.get("/v1/alerts", headers=who)).json() == {"items": [], "next": None}
    closed = (await http.get("/v1/alerts", params={"closed": "true"}, headers=who)).json()["items"]
    assert [each["outcome"] for each in closed] == ["called"]
    assert (await http.get("/v1/alerts", params={"before": "nonsense"}, headers=who)).status_code == 400
    assert (await http.get("/v1/clients", headers={})).status_code == 401


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


def test_every_vendored_file_is_the_one_that_was_vendored() -> None:
    vendored = tomllib.loads((REPOSITORY / "vendor.toml").read_text())["file"]
    for file in vendored:
        assert hashlib.sha256((REPOSITORY / file["path"]).read_bytes()).hexdigest() == file["sha256"]
        assert (REPOSITORY / file["licence_file"]).read_text().strip()
    scripts = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "service/web/static").rglob("*.min.*")}
    assert scripts == {file["path"] for file in vendored}


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
        said[rule] = sentences.of_finding(finding)
    assert said[Rule.WORSENING] == "Craving 2.1 above usual since about 18 Nov; 6 of 7 days answered."
    assert said[Rule.OPIOID_USE].startswith("Use of opioid reported on 22 Nov, none in the 7 days before")
    assert said[Rule.SILENCE] == "No answer for 3 days."
    assert said[Rule.WANING] == "The benefit of the last infusion is waning, 6 days after the infusion."
    assert all(sentence.endswith(".") for sentence in said.values())
