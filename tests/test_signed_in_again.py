"""Who signed in again in a second tab loses nothing in the first; other sites, and whoever comes after, get nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest

from schemas.alert import EventKind
from schemas.staff import Role
from service import database
from service.alerting import alert_states
from service.config import Config
from service.database import Pool
from service.people import clients
from service.web.forms.forms_of_page import Reader
from tests.desk import SignedInAs, a_person, a_session, an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client

TYPED = "Rang <b>her</b>.\nShe is well."
AGAIN = "You have signed in again since this page was opened. Look how it stands, then press once more."
OUT_OF_DATE = "This page is out of date, or somebody else has signed in in this browser since it was opened."


class Scene(NamedTuple):
    """The page of an alert, opened in a session that has ended since; a later session, and a colleague's."""

    desk: Desk
    alert_id: UUID
    page_token: str
    later: SignedInAs
    colleague: SignedInAs

    @property
    def page(self) -> str:
        return f"/alerts/{self.alert_id}"

    async def sends(self, who: SignedInAs, token: str, **headers: str) -> httpx.Response:
        headers = who.cookie | {"Referer": str(self.desk.http.base_url.join(self.page))} | headers
        form = {"csrf_token": token, "note": TYPED}
        return await self.desk.http.post(f"{self.page}/note", data=form, headers=headers)

    async def notes(self) -> int:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            found = await db.value(
                "select count(*) from alert_event where clinic_id = $1 and kind = 'noted'", db.clinic_id
            )
        assert isinstance(found, int)
        return found


def token_of(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return unescape(found[1])


def seen_in(page: str) -> str:
    """Of how many events the form tells that closes the alert."""
    form = next(
        each for each in Reader(page).forms if any(of.endswith("/resolve") for of in (each.action, *each.of_buttons))
    )
    return next(each.value for each in form.controls if each.name == "seen")


def note_in(page: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'<textarea[^>]*name="note"[^>]*>\n?([^<]*)</textarea>', page)]


@pytest.fixture
async def scene(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        since = datetime.now(UTC) - timedelta(days=1)
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            alert_id = await an_alert(db, client_id)
            colleague = await a_session(db, await a_person(db, email="ada@clinic.example", name="Ada Brandt"))
            for each in (desk.person, colleague):
                await clients.assign(db, client_id, each.staff_id, Role.THERAPIST, from_at=since)
        token = token_of((await desk.get(f"/alerts/{alert_id}")).text)
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            await db.execute("delete from staff_session where staff_id = $1", desk.person.staff_id)
            later = await a_session(db, desk.person.staff_id)
        yield Scene(desk, alert_id, token, later, colleague)


@pytest.mark.parametrize("by_script", [True, False])
async def test_the_page_comes_anew_with_its_form_as_it_was_filled_in(scene: Scene, by_script: bool) -> None:
    sent_as = {"Neap-Form": "yes"} if by_script else {}
    anew = await scene.sends(scene.later, scene.page_token, **sent_as)
    assert anew.status_code == 409
    assert (AGAIN in anew.text, "neap-said" in anew.headers) == (True, False)
    assert TYPED in note_in(anew.text)
    assert await scene.notes() == 0
    token = token_of(anew.text)
    assert token != scene.page_token
    assert (await scene.sends(scene.later, token, **sent_as)).status_code == (204 if by_script else 303)
    assert await scene.notes() == 1


async def test_what_came_before_signing_in_again_is_not_taken_as_read(scene: Scene) -> None:
    page = (await scene.desk.http.get(scene.page, headers=scene.later.cookie)).text
    seen = seen_in(page)
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        await alert_states.record(db, scene.alert_id, EventKind.JOINED, now=datetime.now(UTC))
    headers = scene.later.cookie | {"Referer": str(scene.desk.http.base_url.join(scene.page))}
    form = {"csrf_token": scene.page_token, "outcome": "called", "note": TYPED, "seen": seen}
    anew = await scene.desk.http.post(f"{scene.page}/resolve", data=form, headers=headers)
    assert AGAIN in anew.text
    assert seen_in(anew.text) == seen
    form |= {"csrf_token": token_of(anew.text), "seen": seen_in(anew.text), "form_page": scene.page}
    refused = await scene.desk.http.post(f"{scene.page}/resolve", data=form, headers=headers)
    assert refused.status_code == 409
    assert "Since you opened this page: a new reason joined at" in refused.text
    form |= {"seen": seen_in(refused.text)}
    assert (await scene.desk.http.post(f"{scene.page}/resolve", data=form, headers=headers)).status_code == 303


async def test_who_signs_in_after_somebody_else_gets_nothing_of_what_that_one_typed(scene: Scene) -> None:
    refused = await scene.sends(scene.colleague, scene.page_token)
    assert refused.status_code == 400
    assert OUT_OF_DATE in refused.text
    assert "She is well" not in refused.text
    assert await scene.notes() == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site", "Neap-Form": "yes"},
    ],
)
async def test_what_another_site_sends_is_refused_whatever_token_it_holds(
    scene: Scene, headers: dict[str, str]
) -> None:
    own = token_of((await scene.desk.http.get(scene.page, headers=scene.later.cookie)).text)
    for token in (scene.page_token, own):
        refused = await scene.sends(scene.later, token, **headers)
        assert refused.status_code == 400
        assert "This request came from another site." in refused.text
        assert "She is well" not in refused.text
    assert await scene.notes() == 0


async def test_a_token_that_nobody_gave_is_refused_as_ever(scene: Scene) -> None:
    earlier, _, mark = scene.page_token.partition(".")
    of_the_colleague = token_of((await scene.desk.http.get(scene.page, headers=scene.colleague.cookie)).text)
    for token in ("", ".", earlier, f".{mark}", f"x{earlier}.{mark}", f"{earlier}.x{mark}", of_the_colleague):
        refused = await scene.sends(scene.later, token)
        assert refused.status_code == 400, token
        assert OUT_OF_DATE in refused.text
        assert "She is well" not in refused.text
    assert await scene.notes() == 0


async def test_signing_out_on_the_older_page_takes_one_press_more(scene: Scene) -> None:
    headers = scene.later.cookie | {"Referer": str(scene.desk.http.base_url.join(scene.page))}
    anew = await scene.desk.http.post("/sign-out", data={"csrf_token": scene.page_token}, headers=headers)
    assert anew.status_code == 409
    assert AGAIN in anew.text
    out = await scene.desk.http.post("/sign-out", data={"csrf_token": token_of(anew.text)}, headers=headers)
    assert out.status_code == 303
    assert (await scene.desk.http.get(scene.page, headers=scene.later.cookie)).status_code == 303
