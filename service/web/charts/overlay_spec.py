"""The days after each infusion laid over each other, as one Vega-Lite specification: craving, mood and anxiety.

Everything can be read without colour: each line ends with its infusion's number, and the newest is the thick one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas.treatment import Curve, CurvePoint
from service.web.charts.chart_spec import (
    ACCENT,
    HEIGHTS,
    INK,
    ITEMS,
    LETTER_PIXELS,
    LINE,
    MUTED,
    PAPER,
    SCALE_TOP,
    WIDTHS,
    Shape,
    Spec,
    config,
)

# More lines than these cannot be told apart.
MOST_INFUSIONS = 5
# What an infusion brings wanes within two weeks; four show what comes after, and leave the first days room.
DAYS = 28
LEAST_DAYS = 7
# How far answers are looked for past the drawn days, so that the page can say what is left out.
READ_DAYS = 400
# A number at a line's end: how far from it, and how high its letters are.
NUMBER_OFF, NUMBER_HEIGHT = 7, 13
NEWEST, BEFORE, EARLIER = "newest", "before", "earlier"


class Overlay(NamedTuple):
    """The curves that are drawn, by number, and what is not: of how many infusions they are, and for each whose
    answers go on past the last drawn day its number and the day of its last answer."""

    curves: Sequence[Curve]
    of_infusions: int
    going_on: Sequence[tuple[int, int]]


def laid(curves: Sequence[Curve]) -> Overlay:
    """The last infusions, each to the next one or to the last day that is drawn; `curves` by number."""
    newest = curves[-MOST_INFUSIONS:]
    shown = [
        msgspec.structs.replace(curve, points=[point for point in curve.points if point.days_since <= DAYS])
        for curve in newest
    ]
    last_days = [(curve.number, max((point.days_since for point in curve.points), default=0)) for curve in newest]
    return Overlay(shown, len(curves), [(number, day) for number, day in last_days if day > DAYS])


def spec_of(curves: Sequence[Curve], shape: Shape) -> Spec:
    """The specification of the panels that have answers, for a wide page or a phone's width; `curves` by number."""
    shown = laid(curves).curves
    asked = [item for item in ITEMS if any(_values(curve, item[0]) for curve in shown)]
    last = max((point.days_since for curve in shown for point in curve.points), default=0)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": None,
        "padding": {"left": 2, "right": 10, "top": 2, "bottom": 2},
        "spacing": 18,
        "vconcat": [_panel(shown, item, max(last, LEAST_DAYS), shape, titled=item is asked[-1]) for item in asked],
        "config": config(),
    }


def value_of(point: CurvePoint, item: str) -> int | None:
    """The answer of a day: craving, mood or anxiety."""
    return {"craving": point.craving, "mood": point.mood, "anxiety": point.anxiety}[item]


def _values(curve: Curve, item: str) -> list[Spec]:
    """By day up to the last answered one; a day without an answer stands there too, as null: the line breaks."""
    found = {point.days_since: value for point in curve.points if (value := value_of(point, item)) is not None}
    return [{"day": day, "value": found.get(day)} for day in range(min(found, default=0), max(found, default=-1) + 1)]


def _panel(shown: Sequence[Curve], item: tuple[str, str], last: int, shape: Shape, *, titled: bool) -> Spec:
    name, direction = item
    x: Spec = {
        "field": "day",
        "type": "quantitative",
        "scale": {"domain": [0, last + 0.6], "nice": False},
        "axis": {
            "title": "days after the infusion" if titled else None,
            "grid": False,
            "tickMinStep": 1,
            "format": "d",
        },
    }
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": {"domain": [0, SCALE_TOP], "nice": False},
        "axis": {"values": [0, 5, SCALE_TOP], "title": None, "gridColor": LINE, "domain": False, "ticks": False},
    }
    lines = [
        {**value, "infusion": curve.number, "age": _age(curve, shown)}
        for curve in shown
        for value in _values(curve, name)
    ]
    return {
        "width": WIDTHS[shape],
        "height": HEIGHTS[shape],
        "title": {"text": name.capitalize(), "subtitle": direction, "anchor": "start", "frame": "group", "offset": 6},
        "layer": [
            {
                "data": {"values": lines},
                "mark": {
                    "type": "line",
                    "point": {"size": 16, "opacity": 1},
                    "invalid": "break-paths-filter-domains",
                },
                "encoding": {
                    "x": x,
                    "y": y,
                    "detail": {"field": "infusion", "type": "nominal"},
                    "color": _by_age([ACCENT, INK, MUTED]),
                    "strokeWidth": _by_age([2.6, 1.4, 1]),
                    "strokeDash": _by_age([[1, 0], [1, 0], [3, 3]]),
                },
            },
            *_numbers(_apart(_ends(shown, name), last, shape), x, y),
        ],
    }


def _numbers(ends: Sequence[Spec], x: Spec, y: Spec) -> list[Spec]:
    """The numbers, on the page's colour, so that they are read where other lines pass."""
    mark: Spec = {"type": "text", "align": "left", "dx": NUMBER_OFF, "fontWeight": "bold"}
    place: Spec = {"x": x, "y": y, "text": {"field": "number"}}
    return [
        {
            "data": {"values": ends},
            "mark": {**mark, "color": PAPER, "stroke": PAPER, "strokeWidth": 5},
            "encoding": place,
        },
        {"data": {"values": ends}, "mark": mark, "encoding": {**place, "color": _by_age([ACCENT, INK, MUTED])}},
    ]


def _apart(ends: Sequence[Spec], last: int, shape: Shape) -> list[Spec]:
    """The numbers so that none lies on another: the newest at its line's end, each further one as near as there is
    room above or below."""
    days_a_pixel, points_a_pixel = (last + 0.6) / WIDTHS[shape], SCALE_TOP / HEIGHTS[shape]
    step = NUMBER_HEIGHT * points_a_pixel
    placed = list[Spec]()

    def is_free(begin: float, long: float, value: float) -> bool:
        return not any(
            begin < _number(each["day"]) + _long(each)
            and _number(each["day"]) < begin + long
            and abs(value - _number(each["value"])) < step
            for each in placed
        )

    def _long(end: Spec) -> float:
        return (NUMBER_OFF + LETTER_PIXELS * len(str(end["number"]))) * days_a_pixel

    for end in ends:
        day, value, long = _number(end["day"]), _number(end["value"]), _long(end)
        tries = [value + sign * step * far for far in range(len(ends) + 1) for sign in (1, -1)]
        at = next((each for each in tries if 0 <= each <= SCALE_TOP and is_free(day, long, each)), value)
        placed.append({**end, "value": at})
    return placed


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def _ends(shown: Sequence[Curve], item: str) -> list[Spec]:
    """The number of each line's infusion at its end; lines that end in one place share it, the newest first."""
    ends: dict[tuple[object, object], list[Curve]] = {}
    for curve in reversed(shown):
        if values := _values(curve, item):
            ends.setdefault((values[-1]["day"], values[-1]["value"]), []).append(curve)
    return [
        {
            "day": day,
            "value": value,
            "number": ", ".join(str(curve.number) for curve in curves),
            "age": _age(curves[0], shown),
        }
        for (day, value), curves in ends.items()
    ]


def _age(curve: Curve, shown: Sequence[Curve]) -> str:
    if curve is shown[-1]:
        return NEWEST
    return BEFORE if len(shown) > 1 and curve is shown[-2] else EARLIER


def _by_age(values: list[object]) -> Spec:
    scale: Spec = {"domain": [NEWEST, BEFORE, EARLIER], "range": values}
    return {"field": "age", "type": "nominal", "scale": scale, "legend": None}
