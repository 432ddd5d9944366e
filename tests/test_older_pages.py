"""Whoever saves a form of an older page sets nothing back that somebody else has changed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from schemas.course import Substance
from schemas.staff import Role
from service import database as databases
from service.config import Config, DatabaseUrls
from service.database import Pool
from service.embedded import Cluster
from service.people import clients
from service.web.forms import as_shown, refilling
from service.web.forms.forms_of_page import TICKED, Form, Reader
from tests.builders import a_client
from tests.desk import a_person
from tests.desk_visit import Desk, a_desk

Sent = dict[str, str | list[str]]


class Scene(NamedTuple):
    """A desk, a client on whose care team the visitor is, and a colleague."""

    desk: Desk
    client_id: UUID
    colleague: UUID

    def path(self, text: str) -> str:
        return text.format(client=self.client_id, colleague=self.colleague)


@pytest.fixture
async def scene(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with databases.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_client(
                db, given_name="Silas", family_name="Monk", substances=(Substance.ALCOHOL, Substance.COCAINE)
            )
            since = datetime.now(UTC) - timedelta(days=1)
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=since)
            colleague = await a_person(db, Role.NURSE, email="jonas@clinic.example", name="Jonas Feld")
        yield Scene(desk, client_id, colleague)


def form_of(page: str, action: str) -> Form:
    return next(each for each in Reader(page).forms if each.action == action)


def filled(page: str, action: str) -> Sent:
    """What the page's form would send."""
    sent: Sent = {}
    boxes: dict[str, list[str]] = {}
    for control in form_of(page, action).controls:
        if control.kind in TICKED:
            boxes.setdefault(control.name, [])
            boxes[control.name] += [control.value] if "checked" in control.attributes else []
        elif control.tag == "select":
            sent[control.name] = next(each.value for each in control.options if "selected" in each.attributes)
        else:
            sent[control.name] = control.value
    return {**sent, **boxes}


class Case(NamedTuple):
    """A form that writes all its fields; what one person changes, and what another one on an older page."""

    page: str
    action: str
    theirs: Sent
    mine: Sent
    told: str


CASES = [
    Case(
        "/clients/{client}/manage",
        "/clients/{client}/name",
        {"time_zone": "America/Los_Angeles"},
        {"given_name": "Sylas"},
        "to: America/Los_Angeles.",
    ),
    Case("/settings", "/settings/gate", {"systolic_limit": "130"}, {"gate_clear_hours": "40"}, "to: 130."),
    Case(
        "/settings/clinic",
        "/settings/clinic",
        {"contact_1": "555 0100", "opens_6": "10:00", "closes_6": "12:00"},
        {"notice_addition": "We call back."},
        "to: 12:00.",
    ),
    Case(
        "/settings/name", "/settings/name", {"name": "Harbour North"}, {"name": "Harbour South"}, "to: Harbour North."
    ),
    Case(
        "/staff",
        "/staff/{colleague}",
        {"roles": ["nurse", "privacy_officer"]},
        {"name": "Jonas Felder"},
        "to: nurse, privacy officer.",
    ),
    Case(
        "/clients/{client}/treatment",
        "/clients/{client}/treatment/substances",
        {"substances": ["alcohol", "cocaine", "opioid"]},
        {"primary": "cocaine"},
        "to: alcohol, cocaine, opioid.",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)
async def test_a_save_on_an_older_page_sets_nothing_back(scene: Scene, case: Case) -> None:
    desk, page, action = scene.desk, scene.path(case.page), scene.path(case.action)
    opened = filled((await desk.get(page)).text, action)
    assert (await desk.post(action, **opened | case.theirs)).status_code == 303

    refused = await desk.post(action, **opened | case.mine, **{refilling.PAGE_FIELD: page})
    assert refused.status_code == 409
    assert "Somebody else has changed this meanwhile. Look at what is marked, then press again." in refused.text
    assert "data-anew" in refused.text
    stored = filled((await desk.get(page)).text, action)
    assert stored == opened | case.theirs | {as_shown.FIELD: stored[as_shown.FIELD]}

    shown = filled(refused.text, action)
    assert shown.items() >= (case.theirs | case.mine).items(), "theirs stands beside what was typed"
    marked = [each.name for each in form_of(refused.text, action).controls if "aria-describedby" in each.attributes]
    assert set(marked) == set(case.theirs)
    assert (await desk.post(action, **shown)).status_code == 303
    assert filled((await desk.get(page)).text, action).items() >= (case.theirs | case.mine).items()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)
async def test_who_typed_something_else_into_the_same_field_reads_what_it_is_by_now(scene: Scene, case: Case) -> None:
    desk, page, action = scene.desk, scene.path(case.page), scene.path(case.action)
    opened = filled((await desk.get(page)).text, action)
    assert (await desk.post(action, **opened | case.theirs)).status_code == 303
    name = list(case.theirs)[-1]
    typed: Sent = {
        "time_zone": "Asia/Tokyo",
        "systolic_limit": "150",
        "closes_6": "13:00",
        "name": "Third",
        "roles": ["admin"],
        "substances": ["alcohol"],
    }
    mine: Sent = {name: typed[name]}
    refused = await desk.post(action, **opened | mine, **{refilling.PAGE_FIELD: page})
    assert refused.status_code == 409
    assert filled(refused.text, action)[name] == typed[name]
    assert f"Somebody else has changed this meanwhile, {case.told}" in refused.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)
async def test_the_same_pressed_again_is_no_change_by_somebody_else(scene: Scene, case: Case) -> None:
    desk, page, action = scene.desk, scene.path(case.page), scene.path(case.action)
    opened = filled((await desk.get(page)).text, action)
    for _ in range(2):
        assert (await desk.post(action, **opened | case.mine)).status_code == 303


WAITS = """
select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())
"""
# What somebody else has written and not yet committed, with how the older page's form differs.
AT_THAT_MOMENT = {
    "/clients/{client}/name": "update client set time_zone = 'Asia/Tokyo' where clinic_id = $1",
    "/settings/gate": "update clinic_setting set systolic_limit = 130 where clinic_id = $1",
    "/settings/clinic": "update clinic_setting set notice_addition = 'We call.' where clinic_id = $1",
    "/clients/{client}/treatment/substances": """
    with held as (select * from course where clinic_id = $1 for update)
    insert into course_substance (clinic_id, course_id, substance, is_primary, from_on)
    select clinic_id, course_id, 'opioid', false, started_on from held
    """,
    "/settings/name": "update clinic set name = 'Harbour North' where clinic_id = $1",
    "/staff/{colleague}": "update staff set roles = '{nurse,admin}' where clinic_id = $1 and name = 'Jonas Feld'",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)
async def test_of_two_who_save_at_one_moment_the_second_is_told(
    scene: Scene, case: Case, cluster: Cluster, database: DatabaseUrls
) -> None:
    desk, page, action = scene.desk, scene.path(case.page), scene.path(case.action)
    opened = filled((await desk.get(page)).text, action)
    superuser = await asyncpg.connect(cluster.superuser_url, database=urlsplit(database.owner).path[1:])
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        assert await db.execute(AT_THAT_MOMENT[case.action], db.clinic_id) == 1
        saving = asyncio.create_task(desk.post(action, **opened | case.mine, **{refilling.PAGE_FIELD: page}))
        while not await superuser.fetchval(WAITS):  # that another process waits is no event of ours
            assert not saving.done(), "it waited for nobody"
            await asyncio.sleep(0.01)
    await superuser.close()
    assert (await saving).status_code == 409


async def test_another_clock_is_agreed_to_on_the_page_that_was_opened_first(scene: Scene) -> None:
    desk, action = scene.desk, "/settings/name"
    opened = filled((await desk.get(action)).text, action)
    asked = filled((await desk.post(action, **opened | {"time_zone": "Asia/Tokyo"})).text, action)
    assert asked["agreed"] == "Asia/Tokyo"
    assert (await desk.post(action, **opened | {"name": "Harbour North"})).status_code == 303
    assert (await desk.post(action, **asked, **{refilling.PAGE_FIELD: action})).status_code == 409


async def test_words_that_were_only_tried_are_kept_by_the_page_that_was_opened_first(scene: Scene) -> None:
    desk, action = scene.desk, "/settings/clinic"
    opened = filled((await desk.get(action)).text, action)
    tried = filled((await desk.post(action, **opened | {"notice_addition": "We call."}, show="yes")).text, action)
    assert tried["notice_addition"] == "We call."
    assert (await desk.post(action, **opened | {"contact_1": "555 0100"})).status_code == 303
    assert (await desk.post(action, **tried, **{refilling.PAGE_FIELD: action})).status_code == 409


async def test_ones_own_save_that_is_sent_again_is_no_change_of_somebody_else_s(scene: Scene) -> None:
    desk, action = scene.desk, "/settings/clinic"
    opened = filled((await desk.get(action)).text, action)
    none = {name: "" for name in opened if name.startswith(("label_", "contact_"))}
    form = opened | none | {"label_2": "Someone to talk to", "contact_2": "988"}
    for _ in range(2):  # no answer came the first time
        assert (await desk.post(action, **form)).status_code == 303
    stored = filled((await desk.get(action)).text, action)
    assert (stored["label_1"], stored["contact_1"], stored["label_2"]) == ("Someone to talk to", "988", "")


def test_a_text_is_the_same_however_its_lines_end_and_boxes_in_any_order() -> None:
    assert as_shown.mark_of("one\r\ntwo ") == as_shown.mark_of("one\ntwo")
    assert as_shown.mark_of(["b", "a"]) == as_shown.mark_of(["a", "b"])
    assert as_shown.mark_of("") == as_shown.mark_of([])
    assert as_shown.mark_of("ab") != as_shown.mark_of(["a", "b"])
