"""The days after each infusion laid over each other, and the page that says how to read the desk."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from schemas.treatment import Curve, CurvePoint
from service import database
from service.config import Config
from service.database import Pool
from service.facts import client_day
from service.web.charts import chart_spec, overlay_spec
from tests.appointments import a_given_infusion
from tests.builders import an_answer
from tests.desk_visit import Desk, a_desk, a_followed_client


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


async def infused(desk: Desk, *days_ago: int) -> UUID:
    """A client with infusions so long ago, who answered on the day after each of them, and the next."""
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        today = datetime.now(UTC).date()
        for ago in days_ago:
            await a_given_infusion(db, client_id, hours_ago=24 * ago)
            for after in (1, 2):
                day = today - timedelta(days=ago - after)
                await an_answer(db, client_id, day, craving=ago % 11, mood=5, anxiety=4, at=time(14))
    return client_id


async def test_the_days_after_infusions_lie_over_each_other_with_their_numbers_and_values(desk: Desk) -> None:
    client_id = await infused(desk, 30, 16)
    address = f"/clients/{client_id}/overlay.svg"
    drawn = await desk.get(address)
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert all(text in drawn.text for text in ("Craving", "Mood", "Anxiety", ">1<", ">2<", "days after the infusion"))
    assert (await desk.get(address, **{"If-None-Match": drawn.headers["etag"]})).status_code == 304
    assert (await desk.get(f"{address}?shape=narrow")).status_code == 200
    page = (await desk.get(f"/clients/{client_id}?days=infusion")).text
    assert f'src="{address}"' in page
    assert page.count('<th scope="row" class="nw">2, ') == 2
    assert "<b>by infusion</b>" in page


async def test_before_the_first_infusion_the_page_says_what_will_appear(desk: Desk) -> None:
    client_id = await infused(desk)
    assert (await desk.get(f"/clients/{client_id}/overlay.svg")).status_code == 404
    assert "once one was given" in (await desk.get(f"/clients/{client_id}?days=infusion")).text


async def test_only_the_last_infusions_are_drawn(desk: Desk) -> None:
    client_id = await infused(desk, *range(48, 0, -7))
    page = (await desk.get(f"/clients/{client_id}?days=infusion")).text
    assert f"after the last {overlay_spec.MOST_INFUSIONS} infusions" in page


async def test_the_worst_day_is_drawn_however_long_after_the_infusion_and_what_is_not_drawn_is_said(desk: Desk) -> None:
    client_id = await infused(desk, 100, *range(62, 33, -7))
    given_on = client_day.of(datetime.now(UTC) - timedelta(days=34), ZoneInfo("America/Chicago"))
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        for after, craving in ((27, 9), (28, 7), (31, 8)):
            await an_answer(db, client_id, given_on + timedelta(days=after), craving=craving, mood=1, at=time(14))
    page = (await desk.get(f"/clients/{client_id}?days=infusion")).text
    assert "the last 5 of 6 infusions" in page
    assert "to day 28; answers go on to day 31 after infusion 6" in page
    newest = re.findall(
        r'<th scope="row" class="nw">6, [^<]+</th><td class="n">(\d+)</td><td class="n">(\d+)</td>', page
    )
    assert ("27", "9") in newest
    assert "31" not in dict(newest)
    assert ">28<" in (await desk.get(f"/clients/{client_id}/overlay.svg")).text
    treatment = (await desk.get(f"/clients/{client_id}/treatment")).text
    assert "The last 5 of 6 infusions. Each column ends with the next infusion, or with day 7" in treatment


async def test_where_everything_is_drawn_nothing_is_said_to_be_left_out(desk: Desk) -> None:
    page = (await desk.get(f"/clients/{await infused(desk, 30, 16)}?days=infusion")).text
    assert not re.search("answers go on|<span>the last", page)


async def test_how_to_read_names_every_status_and_tier_with_the_clinic_s_own_numbers(desk: Desk) -> None:
    page = (await desk.get("/how-to-read")).text
    for text in ("Not on track", "No data", "Watch", "Learning", "On track", "Urgent", "Today", "Review"):
        assert text in page
    assert "about once in 60 days" in page
    assert 'href="/how-to-read"' in (await desk.get("/caseload")).text


def curve(number: int, *craving: int) -> Curve:
    points = [
        CurvePoint(
            days_since=day,
            hours_since=24.0 * day,
            client_day=date(2026, 11, 1) + timedelta(days=day),
            check_in_id=UUID(int=day),
            craving=value,
            craving_of={},
            mood=None,
            anxiety=None,
        )
        for day, value in enumerate(craving)
    ]
    return Curve(
        infusion_id=UUID(int=number),
        number=number,
        given_at=datetime(2026, 11, 1, tzinfo=UTC),
        dose_mg_per_kg=None,
        duration_minutes=None,
        before=None,
        points=points,
        against_previous=[],
    )


def test_lines_that_end_in_one_place_share_their_number_the_newest_first() -> None:
    spec = overlay_spec.spec_of([curve(8, 5, 4, 3), curve(9, 6, 5, 3), curve(10, 2, 2, 3), curve(11, 1, 2)], "wide")
    encoded = msgspec.json.decode(msgspec.json.encode(spec))
    [_, numbers] = [layer for layer in encoded["vconcat"][0]["layer"] if layer["mark"]["type"] == "text"]
    assert [(each["day"], each["value"], each["number"], each["age"]) for each in numbers["data"]["values"]] == [
        (1, 2, "11", "newest"),
        (2, 3, "10, 9, 8", "before"),
    ]


@pytest.mark.parametrize("shape", ["wide", "narrow"])
def test_numbers_of_lines_that_end_beside_each_other_are_kept_apart(shape: chart_spec.Shape) -> None:
    short = [curve(number, 5, 4, 3 + number % 2) for number in (4, 5, 6)]
    curves = [*short, curve(7, 5, 5, 4, 4), curve(8, *([4] * 28))]
    encoded = msgspec.json.decode(msgspec.json.encode(overlay_spec.spec_of(curves, shape)))
    [_, numbers] = [layer for layer in encoded["vconcat"][0]["layer"] if layer["mark"]["type"] == "text"]
    ends = numbers["data"]["values"]
    a_day = chart_spec.WIDTHS[shape] / 27.6
    boxes = [(each["day"] * a_day, each["value"] * chart_spec.HEIGHTS[shape] / 10) for each in ends]
    assert len(boxes) == 4
    for (x, y), (other_x, other_y) in itertools.combinations(boxes, 2):
        assert abs(x - other_x) > 14 or abs(y - other_y) >= 12, ends
    assert {name: ends[0][name] for name in ("number", "value")} == {"number": "8", "value": 4}
