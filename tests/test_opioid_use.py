"""When reported use of an opioid is urgent: after seven days without, for tolerance is lower then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from schemas.gate import Analyte
from schemas.staff import Role
from service import database
from service.database import Pool
from service.gate import decide
from tests.appointments import a_planned_infusion, a_screen
from tests.checking_in import Setting, a_setting, form_now, put
from tests.desk import a_person

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
async def here(owner_pool: Pool) -> Setting:
    return await a_setting(owner_pool)


async def test_opioid_use_after_a_week_without_is_urgent_and_the_next_is_not(
    http: httpx.AsyncClient, here: Setting
) -> None:
    await put(http, here.phone, form_now(used=["opioid"]))
    await put(http, here.phone, form_now(used=["opioid"], kind="moment"))
    async with database.transaction(here.owner, here.clinic_id) as db:
        found = await db.connection.fetch("select rule, tier from finding order by found_at")
    assert [(record["rule"], record["tier"]) for record in found] == [("opioid_use", 1), ("other_use", 2)]


@pytest.mark.parametrize(
    ("analyte", "days_ago", "corrected", "found"),
    [
        (Analyte.OPIOID, 2, False, ("other_use", 2)),
        (Analyte.OPIOID, 8, False, ("opioid_use", 1)),
        (Analyte.OPIOID, 2, True, ("opioid_use", 1)),
        (Analyte.COCAINE, 2, False, ("opioid_use", 1)),
    ],
)
async def test_opioid_use_after_a_screen_positive_for_opioids_is_no_return_to_use(
    http: httpx.AsyncClient, here: Setting, analyte: Analyte, days_ago: int, corrected: bool, found: tuple[str, int]
) -> None:
    now = datetime.now(UTC)
    at = now - timedelta(days=days_ago)
    async with database.transaction(here.owner, here.clinic_id) as db:
        nurse = await a_person(db, roles=[Role.NURSE])
        infusion_id = await a_planned_infusion(db, here.client_id, hours_ahead=1)
        first = await decide.record(db, here.client_id, infusion_id, a_screen(analyte, at=at), by=nurse, now=now)
        if corrected:
            negative = a_screen(at=at, supersedes=first)
            await decide.record(db, here.client_id, infusion_id, negative, by=nurse, now=now)
    await put(http, here.phone, form_now(used=["opioid"]))
    async with database.transaction(here.owner, here.clinic_id) as db:
        raised = await db.connection.fetch("select rule, tier from finding where rule like '%_use'")
    assert [(record["rule"], record["tier"]) for record in raised] == [found]
