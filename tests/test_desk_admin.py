"""The desk's other doors: clients, staff, settings, demonstration mail, static files, the JSON API."""

from __future__ import annotations

import asyncio
import hashlib
import re
import tomllib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from schemas.course import Substance
from schemas.staff import Role
from schemas.trend import Status
from service import database, ids
from service.config import Config
from service.database import Pool
from service.facts import courses
from service.people import clients, devices, webhook_endpoints
from tests.builders import MASTER, a_clinic
from tests.desk import a_person, a_session, an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client
from tests.web import client_of, running


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


REPOSITORY = Path(__file__).parent.parent


async def test_a_client_is_added_with_a_course_and_gets_a_code_in_the_fragment(desk: Desk) -> None:
    token = {"csrf_token": desk.person.csrf_token, "given_name": "Per", "time_zone": "Europe/Oslo"}
    lacking = await desk.http.post("/clients", data=token, headers=desk.person.cookie)
    assert lacking.status_code == 400
    assert "at least one" in lacking.text
    form = token | {"substances": ["alcohol"], "primary": "opioid"}
    unticked = await desk.http.post("/clients", data=form, headers=desk.person.cookie)
    assert unticked.status_code == 400, "no substance that was chosen counts as nothing"
    assert "one of those that are ticked" in unticked.text
    form = token | {"substances": ["alcohol", "cocaine"], "primary": "cocaine"}
    added = await desk.http.post("/clients", data=form, headers=desk.person.cookie)
    client_id = UUID(added.headers["location"].split("/")[2])
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        treated = await courses.substances_of(db, client_id)
        team = await clients.care_team_of(db, client_id, now=datetime.now(UTC))
        audited = await db.value(
            "select object_id from audit_event where clinic_id = $1 and client_id = $2 and action = 'care_team.assign'",
            db.clinic_id,
            client_id,
        )
    assert str(audited) == str(desk.person.staff_id)
    assert [each.substance for each in treated if each.is_primary] == [Substance.COCAINE]
    assert [member.staff_id for member in team] == [desk.person.staff_id]
    page = (await desk.post(f"/clients/{client_id}/enrolment-code")).text
    code = re.search(r'<code class="code">([0-9A-Z-]+)</code>', page)
    assert code
    assert "<svg" in page
    assert code[1] not in (await desk.get(f"/clients/{client_id}/manage")).text
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        assert await devices.devices_of(db, client_id) == []


async def test_a_client_whom_no_answer_told_of_is_added_once_though_the_form_is_sent_again(desk: Desk) -> None:
    page = (await desk.get("/clients/new")).text
    made = re.search(r'name="id" value="([0-9a-f-]+)"', page)
    assert made
    form = {"given_name": "Per", "time_zone": "Europe/Oslo", "substances": "alcohol", "id": made[1]}
    for _ in range(2):
        assert (await desk.post("/clients", **form)).headers["location"] == f"/clients/{made[1]}/manage"
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        assert await db.value("select count(*) from client where clinic_id = $1", db.clinic_id) == 1
        assert len(await courses.of(db, UUID(made[1]))) == 1
    another = await desk.post("/clients", **form | {"given_name": "Ole"})
    assert (another.status_code, "Open it anew for the next person" in another.text) == (409, True)
    assert (await desk.post("/clients", **form | {"id": "none"})).status_code == 400


async def test_a_client_who_is_added_twice_at_one_moment_is_added_once(desk: Desk) -> None:
    form = {"given_name": "Per", "time_zone": "Europe/Oslo", "substances": "alcohol", "id": str(ids.new())}
    replies = await asyncio.gather(*(desk.post("/clients", **form) for _ in range(4)))
    assert {reply.status_code for reply in replies} <= {303, 409}
    assert any(reply.status_code == 303 for reply in replies)
    assert all("added from this page already" in each.text for each in replies if each.status_code == 409)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        assert await db.value("select count(*) from client where clinic_id = $1", db.clinic_id) == 1


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
    page = (await desk.get("/staff")).text
    assert "1 can sign in. 1 was invited and has not come yet." in page
    assert page.count("invited, the link is not used yet") == 1
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        runs_out = "update one_time_link set expires_at = now() where clinic_id = $1 and purpose = 'set_password'"
        await db.execute(runs_out, db.clinic_id)
    page = (await desk.get("/staff")).text
    assert page.count("invited, and the link does not hold any more: make a new one") == 1
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        holds = "update one_time_link set expires_at = now() + interval '1 day' where clinic_id = $1"
        await db.execute(holds, db.clinic_id)
    twice = await desk.post("/staff", name="Tomas Reyes", email="tomas@clinic.example", roles="nurse")
    assert twice.status_code == 409
    nobody = await desk.post("/staff", name="", email="nowhere", roles="")
    assert nobody.status_code == 400
    for unseen in ("\u200b \u200d", "\u3164", "\u202eTomas"):
        refused = await desk.post("/staff", name=unseen, email="t@clinic.example", roles="nurse")
        assert refused.status_code == 400, "a name that cannot be seen, or turns others round"
        assert "holds characters that cannot be seen or typed" in refused.text
        client = await desk.post("/clients", given_name=unseen, time_zone="UTC", substances="alcohol")
        assert client.status_code == 400
    endless = await desk.post("/staff", name="T" * 201, email="t@clinic.example", roles="nurse")
    assert endless.status_code == 400
    assert "1 to 200 characters" in endless.text
    page = (await desk.get("/staff")).text
    staff_id = re.search(r'/staff/([0-9a-f-]{36})/reset" ?>(?:(?!</tr>).)*?New link for Tomas', page, re.DOTALL)
    assert staff_id
    reset = await desk.post(f"/staff/{staff_id[1]}/reset")
    assert "/link/neap_link_" in reset.text
    assert (await desk.http.get(link[1])).status_code == 410
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        comes = "update staff set password_hash = 'x' where clinic_id = $1 and name = 'Tomas Reyes'"
        await db.execute(comes, db.clinic_id)
    page = (await desk.get("/staff")).text
    assert "2 can sign in.</p>" in page
    assert "invited, " not in page
    assert (await desk.post(f"/staff/{staff_id[1]}/disable")).status_code == 303
    assert (await desk.post(f"/staff/{staff_id[1]}/reset")).status_code == 409
    assert (await desk.post(f"/staff/{staff_id[1]}/enable")).status_code == 303
    own = await desk.post(f"/staff/{desk.person.staff_id}/disable")
    assert own.status_code == 409
    assert "ask another admin" in own.text
    assert "faster" not in own.text, "nobody was"


async def test_a_webhooks_secret_is_shown_once_and_odd_addresses_are_refused(desk: Desk) -> None:
    for url in (
        "http://hooks.example/x",
        "https://:p@hooks.example/",
        "https://127.0.0.1/",
        "https://h.example/ x",
        "",
    ):
        refused = await desk.post("/settings/webhooks", url=url)
        assert refused.status_code == 400
        assert "url" in refused.text
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


async def test_an_endpoint_that_is_not_this_clinics_cannot_be_disabled(desk: Desk, owner_pool: Pool) -> None:
    other = await a_clinic(owner_pool, slug="lakeside")
    async with database.transaction(owner_pool, other.clinic_id) as db:
        foreign, _ = await webhook_endpoints.add(db, MASTER, "https://hooks.example/", now=datetime.now(UTC))
    for endpoint_id in (foreign, ids.new()):
        assert (await desk.post(f"/settings/webhooks/{endpoint_id}/disable")).status_code == 404
    async with database.transaction(owner_pool, other.clinic_id) as db:
        assert (await webhook_endpoints.get(db, foreign)).disabled_at is None
    async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
        own, _ = await webhook_endpoints.add(db, MASTER, "https://hooks.example/", now=datetime.now(UTC))
    for _ in range(2):
        assert (await desk.post(f"/settings/webhooks/{own}/disable")).status_code == 303


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
    page = (await desk.http.get("/demo-mail")).text
    assert page.index("Message 2") < page.index("Message 1")
    assert '<a href="http://127.0.0.1:8080/alerts/1">' in page
    assert "&lt;i&gt;Look" in page
    assert "alert.opened" in page
    async with running(settings) as real, client_of(real) as http:
        assert (await http.get("/demo-mail")).status_code == 404


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
    assert alert["reasons"][0]["sentence"].startswith("Craving 2.1 points above usual")
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


def test_every_vendored_file_is_the_one_that_was_vendored() -> None:
    vendored = tomllib.loads((REPOSITORY / "vendor.toml").read_text())["file"]
    for file in vendored:
        assert hashlib.sha256((REPOSITORY / file["path"]).read_bytes()).hexdigest() == file["sha256"]
        assert (REPOSITORY / file["licence_file"]).read_text().strip()
    scripts = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "service/web/static").rglob("*.min.*")}
    assert scripts == {file["path"] for file in vendored}
