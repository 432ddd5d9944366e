"""The charts: what is drawn for which day, and the process that draws."""

from __future__ import annotations

import asyncio
import sys
from datetime import date, timedelta
from pathlib import Path

import msgspec
import psutil
import pytest

from schemas.course import Substance
from schemas.trend import Trend
from service import errors
from service.desk.caseload import SPARK_DAYS, SparkDay
from service.desk.client_page import Chart
from service.ids import new
from service.web.charts import charts
from service.web.charts.chart_spec import is_outside, spec_of, svg_for_both_themes
from service.web.charts.charts import Charts, version_of
from service.web.charts.sparklines import spark_of
from tests.desk import a_trend_day
from tests.drawings import texts_of

FIRST = date(2026, 11, 1)
ROOT = Path(__file__).parent.parent


def a_chart(*craving: int | None, by_substance: bool = False) -> Chart:
    trend = [
        a_trend_day(FIRST + timedelta(days=n), craving=each, mood=None if each is None else 6)
        for n, each in enumerate(craving)
    ]
    several = {
        day.client_day: {Substance.ALCOHOL: day.craving, Substance.COCAINE: 0}
        for day in trend
        if day.craving is not None
    }
    return Chart(trend, several if by_substance else {}, [(FIRST, 1)], [FIRST + timedelta(days=1)], FIRST)


def panels_of(chart: Chart) -> list[str]:
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(chart, "wide")))
    return [texts_of(panel)[0] for panel in spec["vconcat"]]


def points_of(chart: Chart, panel: int = 0) -> list[tuple[str, object]]:
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(chart, "wide")))
    layers = spec["vconcat"][panel]["layer"]
    points = next(layer for layer in layers if isinstance(layer["mark"], dict) and layer["mark"]["type"] == "point")
    return [(point["kind"], point["value"]) for point in points["data"]["values"]]


def test_a_day_without_an_answer_is_a_cross_below_the_scale_and_breaks_the_line() -> None:
    chart = a_chart(3, None, 0)
    kinds = points_of(chart)
    assert [kind for kind, _ in kinds] == ["inside", "gap", "inside"]
    assert [value for _, value in kinds][1] == -0.65
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(chart, "wide")))
    line = next(layer for layer in spec["vconcat"][0]["layer"] if layer["mark"]["type"] == "line")
    assert [each["value"] for each in line["data"]["values"]] == [3, None, 0]


def test_only_the_worse_side_of_the_usual_band_is_marked() -> None:
    day: Trend = a_trend_day(FIRST)
    assert is_outside(0, 6, day)
    assert not is_outside(0, 0, day)
    assert is_outside(1, 4, day)
    assert not is_outside(1, 10, day)
    unknown = msgspec.structs.replace(day, band_low=[None] * 3, band_high=[None] * 3)
    assert not any(is_outside(item, score, unknown) for item in range(3) for score in range(11))


def test_an_item_that_was_never_asked_has_no_panel() -> None:
    assert panels_of(a_chart(3, 3)) == ["Craving", "Mood", "Anxiety"]
    assert panels_of(a_chart(None, None)) == ["Mood", "Anxiety"]


def test_the_version_follows_the_data_and_nothing_else() -> None:
    assert version_of(spec_of(a_chart(3, 4), "wide")) == version_of(spec_of(a_chart(3, 4), "wide"))
    assert version_of(spec_of(a_chart(3, 4), "wide")) != version_of(spec_of(a_chart(3, 5), "wide"))
    assert version_of(spec_of(a_chart(3, 4), "wide")) != version_of(spec_of(a_chart(3, 4), "narrow"))


def test_every_colour_of_a_drawing_has_its_dark_counterpart() -> None:
    svg = svg_for_both_themes('<svg xmlns="x"><path fill="#1c2a2e"/></svg>')
    assert svg.startswith('<svg xmlns="x"><style>@media (prefers-color-scheme:dark)')
    assert '[fill="#1c2a2e"]{fill:#e6ecea}' in svg


async def test_what_is_drawn_names_the_items_infusions_and_substances() -> None:
    drawing = Charts()
    try:
        svg = await drawing.draw(spec_of(a_chart(3, None, 8, by_substance=True), "wide"))
    finally:
        await drawing.close()
    for text in ("Craving", "Mood", "Anxiety", "alcohol", "cocaine", ">1<"):
        assert text in svg
    assert "#9a4f00" in svg


async def test_a_drawing_process_that_dies_every_time_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "WORKER", "no_such_module")
    drawing = Charts()
    with pytest.raises(errors.NotReady, match="stand in the table"):
        await drawing.draw(spec_of(a_chart(3), "wide"))
    await drawing.close()


DRAW_AND_WAIT = """
import asyncio
from service.web.charts.charts import Charts

async def main():
    drawing = Charts()
    await drawing.draw({"mark": "point", "data": {"values": []}})
    print(drawing.process_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_drawing_process_ends_when_the_web_process_is_killed() -> None:
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DRAW_AND_WAIT, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    drawing = psutil.Process(int(await killed.stdout.readline()))
    killed.kill()
    await killed.wait()
    await asyncio.to_thread(psutil.wait_procs, [drawing], timeout=10)
    assert not drawing.is_running()


def test_a_sparkline_keeps_the_true_scale_and_breaks_at_gaps() -> None:
    client_id = new()
    days = [
        SparkDay(
            client_id=client_id,
            client_day=FIRST + timedelta(days=n),
            answered=value is not None,
            value=value,
            low=2.0,
            high=5.0,
        )
        for n, value in enumerate([0, 10, None, 4, 4])
    ]
    spark = spark_of(days, days[-1].client_day)
    at = 3.0 * (SPARK_DAYS - 5 + 0.5)
    assert spark.runs == [f"{at:g},20 {at + 3:g},0", f"{at + 9:g},12 {at + 12:g},12"]
    assert spark.outside == [(at + 3, 0.0)]
    assert spark.band == [(at - 1.5, 10.0, 15.0, 6.0)]
    assert spark.last == (at + 12, 12.0)
    assert spark.words == "Craving, 5 days: 4 answered, 1 above the usual band"


def test_a_sparkline_stands_where_its_days_are_and_breaks_where_nothing_was_asked() -> None:
    """Nothing is asked in a pause: the days before it and those after it are not neighbours."""
    client_id = new()
    days = [
        SparkDay(client_id=client_id, client_day=FIRST + timedelta(days=n), answered=True, value=4, low=2.0, high=5.0)
        for n in (-30, 0, 1, 6, 7)
    ]
    spark = spark_of(days, FIRST + timedelta(days=9))
    at = 3.0 * (SPARK_DAYS - 9.5)
    assert spark.runs == [f"{at:g},12 {at + 3:g},12", f"{at + 18:g},12 {at + 21:g},12"]
    assert spark.band == [(at - 1.5, 10.0, 6.0, 6.0), (at + 16.5, 10.0, 6.0, 6.0)]
    assert spark.last == (at + 21, 12.0), "two days before the right edge"
    assert spark.words == "Craving, 4 days: 4 answered, 0 above the usual band"


def test_days_on_which_nothing_was_asked_break_line_and_band_and_are_named() -> None:
    whole = a_chart(3, 3, 4, 4, 4, 4, 4, 5, 5)
    paused = whole._replace(trend=[whole.trend[0], *whole.trend[7:]])
    assert [kind for kind, _ in points_of(paused)] == ["inside"] * 3, "a cross is an answer that did not come"
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(paused, "wide")))
    layers = spec["vconcat"][1]["layer"]
    line = next(layer for layer in layers if layer["mark"]["type"] == "line")
    band = next(layer for layer in layers if layer["mark"]["type"] == "area")
    assert [each["value"] for each in line["data"]["values"]] == [6, *[None] * 6, 6, 6]
    assert [each["low"] is None for each in band["data"]["values"]] == [False, *[True] * 6, False, False]
    said = [row["said"] for layer in layers for row in layer["data"]["values"] if "middle" in row]
    assert said == ["not asked 2 to 7 Nov"] * 2, "one stretch, as a line and as its name"


def test_a_pause_that_goes_on_is_drawn_until_today() -> None:
    paused = a_chart(*[3] * 20)._replace(paused_until=FIRST + timedelta(days=39))
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(paused, "wide")))
    layers = spec["vconcat"][0]["layer"]
    assert {row["said"] for layer in layers for row in layer["data"]["values"] if "middle" in row} == {
        "not asked 21 Nov to 10 Dec"
    }
    domains = {
        each["encoding"]["x"]["scale"]["domain"][1]
        for each in layers
        if "scale" in each.get("encoding", {}).get("x", {})
    }
    assert domains == {"2026-12-10T12:00:00Z"}


def test_what_is_said_of_a_stretch_lies_over_no_answer_beside_it() -> None:
    """As many letters as there is room for, at some 6.5 units each; on a phone within 330 for all days."""
    for unasked, days, said in ((8, 18, "not asked 9 to 16 Nov"), (8, 30, "not asked"), (2, 40, "")):
        whole = a_chart(*[3] * days)
        paused = whole._replace(trend=[*whole.trend[:8], *whole.trend[8 + unasked :]])
        spec = msgspec.json.decode(msgspec.json.encode(spec_of(paused, "narrow")))
        layers = spec["vconcat"][0]["layer"]
        told = {row["said"] for layer in layers for row in layer["data"]["values"] if "middle" in row}
        assert told == {said}
        assert 6.5 * len(said) <= 330 * unasked / days


def test_an_answer_between_two_gaps_is_a_dot_of_its_own() -> None:
    client_id = new()
    values = [3, None, 4, None, 5]
    days = [
        SparkDay(
            client_id=client_id, client_day=FIRST + timedelta(days=n), answered=True, value=value, low=None, high=None
        )
        for n, value in enumerate(values)
    ]
    spark = spark_of(days, days[-1].client_day)
    assert spark.runs == []
    assert [y for _, y in spark.alone] == [14.0, 12.0, 10.0]


def test_on_a_phone_what_stands_above_a_panel_fits_on_its_line() -> None:
    """Some 6.5 units a letter at the size of the text, 8 of the name, within 330."""
    spec = msgspec.json.decode(msgspec.json.encode(spec_of(a_chart(3, 3), "narrow")))
    for panel in spec["vconcat"]:
        name, said = texts_of(panel)
        assert 8 * len(name) + 6.5 * len(said) < 330


async def test_whoever_gives_up_leaves_no_drawing_for_the_next_one() -> None:
    drawing, one, other = Charts(), spec_of(a_chart(1, 1, 1), "wide"), spec_of(a_chart(9, 9, 9), "wide")
    try:
        right = await drawing.draw(other)
        await drawing.close()
        drawing = Charts()
        await drawing.draw({"mark": "point", "data": {"values": []}})
        leaving = asyncio.create_task(drawing.draw(one))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await drawing.draw(other) == right
    finally:
        await drawing.close()


async def test_a_drawing_too_long_to_read_is_told_and_the_next_one_is_drawn() -> None:
    small, large = spec_of(a_chart(3), "wide"), spec_of(a_chart(*([3, 8] * 60)), "wide")
    drawing = Charts()
    try:
        between = (len(await drawing.draw(small)) + len(await drawing.draw(large))) // 2
    finally:
        await drawing.close()
    drawing = Charts(longest_line_bytes=between)
    try:
        with pytest.raises(errors.NotReady, match="numbers stand in the table"):
            await drawing.draw(large)
        assert "<svg" in await drawing.draw(small)
    finally:
        await drawing.close()
