"""The page of the clinic's instruments: rhythms chosen from a day on, and an instrument of its own, by forms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.course import Phase
from service import database
from service.config import Config
from service.database import Pool
from service.facts import instruments
from tests.desk_visit import Desk, a_desk

HERE = "/settings/instruments"


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as running:
        yield running


def in_days(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


async def chosen(desk: Desk) -> list[tuple[str, Phase, int | None, int | None]]:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        return [(each.code, each.phase, each.every_days, each.open_days) for each in await instruments.choices_of(db)]


async def test_a_rhythm_is_chosen_from_a_day_on_and_the_page_says_both(desk: Desk) -> None:
    before = (await desk.get(HERE)).text
    assert "PHQ-9" in before
    assert "chosen here" not in before
    reply = await desk.post(f"{HERE}/phq9/schedule", phase="induction", every_days="10", from_on=in_days(2))
    assert (reply.status_code, reply.headers["location"]) == (303, f"{HERE}#phq9")
    never = await desk.post(f"{HERE}/pacs/schedule", phase="maintenance", never="yes", from_on=in_days(2))
    assert never.status_code == 303
    assert await chosen(desk) == [("phq9", Phase.INDUCTION, 10, 7), ("pacs", Phase.MAINTENANCE, None, None)]
    page = (await desk.get(HERE)).text
    assert "every 10 days, open for 7" in page
    assert "chosen here" not in page


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"phase": "induction", "every_days": ""}, "every_days"),
        ({"phase": "induction", "every_days": "often"}, "every_days"),
        ({"phase": "induction", "every_days": "7", "open_days": "9"}, "open_days"),
        ({"phase": "discharged", "every_days": "7"}, "phase"),
        ({"phase": "induction", "every_days": "9" * 5_000}, "every_days"),
        ({"phase": "induction", "every_days": "7", "from_on": "2020-01-01"}, "from_on"),
    ],
)
async def test_a_rhythm_that_cannot_be_names_its_field_and_changes_nothing(
    desk: Desk, form: dict[str, str], field: str
) -> None:
    reply = await desk.post(f"{HERE}/phq9/schedule", **{"from_on": in_days(2), **form})
    assert reply.status_code == 400
    assert field in reply.text
    assert await chosen(desk) == []


async def test_the_clinics_own_is_brought_in_as_the_text_of_its_file(desk: Desk) -> None:
    toml = (Path(__file__).parent / "data" / "own_instrument.toml").read_text()
    assert (await desk.post(HERE, definition=toml.replace("\n", "\r\n"))).status_code == 303
    page = (await desk.get(HERE)).text
    assert "the clinic&#39;s own" in page or "the clinic's own" in page
    assert (await desk.post(HERE, definition="code =")).status_code == 400


@pytest.mark.parametrize("text", ["a = " + "[" * 3_000 + "]" * 3_000, "version = " + "9" * 5_000])
async def test_a_file_that_holds_what_none_does_is_refused_plainly(desk: Desk, text: str) -> None:
    reply = await desk.post(HERE, definition=text)
    assert reply.status_code == 400
    assert "holds what no instrument does" in reply.text
