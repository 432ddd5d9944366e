"""Whoever decides at a gate after a colleague reads who decided what and when, and loses nothing of what they wrote."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import UUID

import httpx
import msgspec
import pytest

from schemas.gate import Analyte, Decision, ScreenForm, VitalForm
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Db, Pool
from service.facts import infusions
from service.gate import decide
from service.people import clients
from service.web.forms import refilling
from tests.appointments import a_complete_gate, a_decision, a_planned_infusion, a_pressure, a_reading, a_screen
from tests.desk import a_person
from tests.desk_visit import Desk, a_desk, a_followed_client

T = TypeVar("T")
WHY = "Looked pale & confused,\nblood sugar 2.9"


class Scene(NamedTuple):
    """A desk, an infusion to come, and a colleague who decides, too."""

    desk: Desk
    client_id: UUID
    infusion_id: UUID
    colleague: UUID

    @property
    def gate(self) -> str:
        return f"/infusions/{self.infusion_id}/gate"

    async def decide(self, verb: str, **form: str) -> httpx.Response:
        """On a page that was opened before anybody had decided."""
        return await self.desk.post(f"{self.gate}/{verb}", version="0", **form, **{refilling.PAGE_FIELD: self.gate})

    async def looks(self) -> dict[str, str]:
        """What the page's form for going ahead all the same carries."""
        page = (await self.desk.get(self.gate)).text
        form = page.partition(f'action="{self.gate}/override"')[2].partition("</form>")[0]
        carried = dict(re.findall(r'<input type="hidden" name="(version|known)" value="([^"]*)">', form))
        assert carried.keys() == {"version", "known"}
        return carried

    async def overrides(self, looked_at: dict[str, str]) -> httpx.Response:
        return await self.desk.post(
            f"{self.gate}/override", reason=WHY, **looked_at, **{refilling.PAGE_FIELD: self.gate}
        )

    async def does(self, do: Callable[[Db], Awaitable[T]]) -> T:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            return await do(db)

    async def colleague_records(self, form: ScreenForm | VitalForm, infusion_id: UUID | None = None) -> UUID:
        now, at = datetime.now(UTC), infusion_id or self.infusion_id
        return await self.does(lambda db: decide.record(db, self.client_id, at, form, by=self.colleague, now=now))

    async def colleague_decides(self, *decisions: Decision) -> None:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            for decision in decisions:
                reason = "Other reason." if decision in (Decision.HOLD, Decision.OVERRIDE) else None
                by = self.colleague
                await a_decision(db, self.client_id, self.infusion_id, decision, reason=reason, by=by)


@pytest.fixture
async def scene(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        since, by = datetime.now(UTC) - timedelta(days=1), desk.person.staff_id
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            for role in (Role.NURSE, Role.PRESCRIBER):
                await clients.assign(db, client_id, by, role, from_at=since)
            colleague = await a_person(db, Role.PRESCRIBER, email="ingrid@clinic.example", name="Ingrid Solis")
            infusion_id = await a_planned_infusion(db, client_id)
            await a_complete_gate(db, client_id, infusion_id, by=by)
        yield Scene(desk, client_id, infusion_id, colleague)


def texts_of(page: str) -> dict[str, str]:
    """What stands in the page's longer fields: by their names, and what is there to be copied by its label."""
    found = re.findall(r"<textarea([^>]*)>\n?([^<]*)</textarea>", page)
    named = [(re.search(r'(?:name|aria-label)="([^"]+)"', attributes), text) for attributes, text in found]
    return {match[1]: unescape(text) for match, text in named if match is not None}


async def test_a_reason_that_finds_no_field_any_more_is_shown_to_be_copied(scene: Scene) -> None:
    await scene.colleague_decides(Decision.HOLD)
    refused = await scene.decide("hold", reason=WHY)
    assert refused.status_code == 409
    assert re.search(r"Since you opened this page: Ingrid Solis put it on hold at \d\d:\d\d\.", refused.text)
    assert "Not now: somebody put it on hold." in refused.text, "the page as it is by now"
    assert texts_of(refused.text)["What you had typed"] == WHY
    assert refilling.NO_PLACE in refused.text
    assert 'aria-label="What you had typed"' in refused.text
    assert "readonly" in refused.text


async def test_a_reason_that_has_a_field_still_stands_in_it(scene: Scene) -> None:
    await scene.colleague_decides(Decision.HOLD, Decision.RELEASE)
    refused = await scene.decide("hold", reason=WHY)
    assert refused.status_code == 409
    told = r"Ingrid Solis put it on hold at \d\d:\d\d; Ingrid Solis took the hold back at \d\d:\d\d\."
    assert re.search(told, refused.text)
    assert texts_of(refused.text) == {"reason": WHY}


@pytest.fixture
async def bare(scene: Scene) -> Scene:
    """The same, where the list of contraindications is missing."""
    await scene.does(lambda db: db.execute("delete from contraindication_check where clinic_id = $1", db.clinic_id))
    return scene


async def test_who_overrides_what_they_have_not_read_is_told_what_came_and_decides_anew(bare: Scene) -> None:
    looked_at = await bare.looks()
    await bare.colleague_records(a_pressure(215, 120, at=datetime.now(UTC)))
    refused = await bare.overrides(looked_at)
    assert refused.status_code == 409
    told = r"Since you opened this page: a blood pressure was recorded at \d\d:\d\d by Ingrid Solis\. Look at it before"
    assert re.search(told, refused.text)
    assert "215/120" in refused.text, "the page as it is by now"
    assert "215" not in re.findall(r'role="alert"[^>]*><p>([^<]*)', refused.text)[-1]
    assert WHY in texts_of(refused.text).values()
    assert "Overridden" not in (await bare.desk.get(bare.gate)).text
    assert (await bare.overrides(await bare.looks())).status_code == 303
    assert "Overridden" in (await bare.desk.get(bare.gate)).text


async def test_what_was_corrected_or_taken_back_since_is_told_in_its_order(bare: Scene) -> None:
    now = datetime.now(UTC)
    first, second = [await bare.colleague_records(a_pressure(at=now)) for _ in range(2)]
    looked_at = await bare.looks()
    await bare.colleague_records(msgspec.structs.replace(a_pressure(150, 90, at=now), supersedes=first))
    by = bare.colleague
    await bare.does(lambda db: decide.take_back(db, bare.infusion_id, second, by=by, now=datetime.now(UTC)))
    await bare.colleague_decides(Decision.HOLD, Decision.RELEASE)
    await bare.does(lambda db: a_reading(db, bare.client_id, bare.infusion_id, by=bare.desk.person.staff_id))
    refused = await bare.overrides(looked_at)
    told = re.search(r"Since you opened this page: ([^.]*)\.", refused.text)
    assert told is not None
    assert re.sub(r"at \d\d:\d\d", "at …", told[1]).split("; ") == [
        "a blood pressure was corrected at … by Ingrid Solis",
        "a blood pressure was taken back at … by Ingrid Solis",
        "Ingrid Solis put it on hold at …",
        "Ingrid Solis took the hold back at …",
        "a blood pressure was recorded at … by you",
    ]


async def test_what_speaks_against_it_at_another_infusion_is_read_before_an_override_too(bare: Scene) -> None:
    looked_at = await bare.looks()
    now = datetime.now(UTC)
    another = await bare.does(lambda db: a_planned_infusion(db, bare.client_id, hours_ahead=30))
    assert (await bare.looks())["known"] == looked_at["known"]
    await bare.colleague_records(a_screen(Analyte.OPIOID, at=now), another)
    refused = await bare.overrides(looked_at)
    assert refused.status_code == 409
    assert "Since you opened this page: something was recorded for another infusion." in refused.text


async def test_a_record_hinders_nobody_from_holding_and_a_page_without_it_is_as_before(bare: Scene) -> None:
    looked_at = await bare.looks()
    await bare.colleague_records(a_pressure(at=datetime.now(UTC)))
    assert (await bare.desk.post(f"{bare.gate}/hold", reason=WHY, **looked_at)).status_code == 303
    assert (await bare.desk.post(f"{bare.gate}/release", version="1")).status_code == 303
    assert (await bare.desk.post(f"{bare.gate}/override", reason=WHY, version="2")).status_code == 303
    assert (await bare.desk.post(f"{bare.gate}/hold", reason=WHY, known="none")).status_code == 400


async def test_who_decides_without_a_reason_is_told_as_well(scene: Scene) -> None:
    await scene.colleague_decides(Decision.HOLD)
    refused = await scene.decide("clear")
    assert refused.status_code == 409
    assert "Ingrid Solis put it on hold at" in refused.text
    assert "What you had typed" not in refused.text


async def test_what_is_settled_by_now_keeps_no_reason_to_itself(scene: Scene) -> None:
    now = datetime.now(UTC)
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        await infusions.give(db, scene.infusion_id, given_at=now, by=None, now=now)
    refused = await scene.decide("hold", reason=WHY)
    assert refused.status_code == 409
    assert "The infusion is given; nothing is to be decided any more." in refused.text
    assert texts_of(refused.text)["What you had typed"] == WHY


@pytest.mark.parametrize("verb", ["hold", "clear", "override", "release"])
async def test_each_form_that_decides_takes_the_page_anew(scene: Scene, verb: str) -> None:
    if verb == "release":
        await scene.colleague_decides(Decision.HOLD)
    elif verb == "override":
        async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
            await db.execute("delete from vital_reading where clinic_id = $1", db.clinic_id)
    page = (await scene.desk.get(scene.gate)).text
    assert re.search(rf'action="{scene.gate}/{verb}" data-anew', page)
