"""The three charts of a client as one Vega-Lite specification: craving, mood and anxiety on one shared time axis.

Everything can be read without colour: the usual band is an area, gaps are crosses, infusions dotted numbered lines,
sessions ticks on the axis, days worse than the band diamonds. Days on which nothing was asked (in a pause, between two
courses) have no trend: lines and band break there, and a dashed line says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Literal

from schemas.trend import Trend
from service.desk import sentences
from service.desk.client_page import Chart

Spec = dict[str, object]
Shape = Literal["wide", "narrow"]
Days = Sequence[tuple[date, Trend | None]]
"""Each day of the calendar from a chart's first to its last; None where nothing was asked."""

ITEMS = (("craving", "up is worse"), ("mood", "down is worse"), ("anxiety", "up is worse"))
SCALE_TOP = 10
WIDTHS: Mapping[Shape, int] = {"wide": 1120, "narrow": 330}
HEIGHTS: Mapping[Shape, int] = {"wide": 130, "narrow": 110}
# Below the scale's zero: what is no answer must not look like the answer 0.
FLOOR = -1.9
SCALE: Mapping[str, object] = {"domain": [FLOOR, SCALE_TOP], "nice": False}
SESSION_TICK = (FLOOR, -1.15)
CROSS_AT = -0.65
# Of a letter of a chart's text, on average, with a little room.
LETTER_PIXELS = 6.5
# Past this many days the axis names months and years.
LONG_SPAN_DAYS = 120
# The light theme's colours; the page's dark theme replaces each by its counterpart, see `svg_for_both_themes`.
INK, MUTED, LINE, BAND, ACCENT, OFF = "#1c2a2e", "#56666b", "#dfe4e1", "#dbe9e6", "#0b6461", "#9a4f00"
PAPER = "#fbfaf7"
DARK: Mapping[str, str] = {
    INK: "#e6ecea",
    MUTED: "#9db0b3",
    LINE: "#2b383b",
    BAND: "#1f3a3a",
    ACCENT: "#63c2ba",
    OFF: "#f0ad5e",
    PAPER: "#12191b",
}
FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


def spec_of(chart: Chart, shape: Shape) -> Spec:
    """The specification of all three panels, for a wide page or a phone's width."""
    days = every_day(chart)
    first, last = days[0][0], days[-1][0]
    # Half a day of room, so that the first and the last day's marks clear the scale.
    last = max(last, first + timedelta(days=13))
    domain = [f"{first - timedelta(days=1)}T12:00:00Z", f"{last}T12:00:00Z"]
    pixels_a_day = WIDTHS[shape] / ((last - first).days + 1)
    asked = [pair for pair in enumerate(ITEMS) if pair[0] != 0 or any(each.craving is not None for each in chart.trend)]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": None,
        "padding": {"left": 2, "right": 10, "top": 2, "bottom": 2},
        "spacing": 18,
        "vconcat": [
            _panel(chart, days, index, item, domain, shape, pixels_a_day, numbered=place == 0)
            for place, (index, item) in enumerate(asked)
        ],
        "config": config(),
    }


def every_day(chart: Chart) -> Days:
    """The chart's days, those on which nothing was asked among them, until today in a pause."""
    known = {day.client_day: day for day in chart.trend}
    first, last = chart.trend[0].client_day, max(chart.trend[-1].client_day, chart.paused_until or date.min)
    ahead = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [(on, known.get(on)) for on in ahead]


def not_asked_stretches(days: Days) -> list[tuple[date, date]]:
    """First and last day of each stretch on which nothing was asked."""
    stretches = [
        [on for on, _ in stretch] for asked, stretch in groupby(days, key=lambda each: each[1] is not None) if not asked
    ]
    return [(stretch[0], stretch[-1]) for stretch in stretches]


def is_outside(index: int, value: int, day: Trend) -> bool:
    """Whether an answer lies outside the usual band on the worse side: craving and anxiety above, mood below."""
    low, high = day.band_low[index], day.band_high[index]
    if index == 1:
        return low is not None and value < low
    return high is not None and value > high


def value_of(index: int, day: Trend) -> int | None:
    """The answer of one client day: craving, mood, anxiety by index."""
    return (day.craving, day.mood, day.anxiety)[index]


def svg_for_both_themes(svg: str) -> str:
    """The drawing with the dark theme's colours beside its own; as an image it follows the page's scheme."""
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items()
    )
    style = f"<style>@media (prefers-color-scheme:dark){{{rules}}}</style>"
    head, separator, rest = svg.partition(">")
    return head + separator + style + rest


def _panel(
    chart: Chart,
    days: Days,
    index: int,
    item: tuple[str, str],
    domain: list[str],
    shape: Shape,
    pixels_a_day: float,
    *,
    numbered: bool,
) -> Spec:
    x: Spec = {
        "field": "on",
        "type": "temporal",
        "scale": {"type": "utc", "domain": domain, "nice": False},
        "axis": {
            "format": "%b %Y" if len(chart.trend) > LONG_SPAN_DAYS else "%-d %b",
            "grid": False,
            "title": None,
            "tickCount": 10 if shape == "wide" else 4,
            "labelOverlap": "greedy",
            "labelSeparation": 8,
        },
    }
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": SCALE,
        "axis": {"values": [0, 5, SCALE_TOP], "title": None, "gridColor": LINE, "domain": False, "ticks": False},
    }
    layers: list[Spec] = [_band(days, index, x), *_treatment(chart, x, numbered=numbered)]
    if index == 0 and chart.by_substance:
        layers.append(_substances(chart, days, x, y))
    layers += [*_answers(days, index, x, y), *_not_asked(days, x, y, pixels_a_day)]
    layers += _heading(chart, index, item, shape, above=16 if numbered else 6)
    return {"width": WIDTHS[shape], "height": HEIGHTS[shape], "layer": layers}


def _heading(chart: Chart, index: int, item: tuple[str, str], shape: Shape, *, above: int) -> list[Spec]:
    """Above a panel its name; and which way is worse, the person's usual band now, since when it is known: on one line
    where there is room. Since when stands under the charts, too, so that a phone's line goes without.

    Drawn as marks: a title of Vega's own keeps clear of every mark, and the two would never meet on one line.
    """
    name, said = item
    newest = chart.trend[-1]
    low, high = _clip(newest.band_low[index]), _clip(newest.band_high[index])
    if low is not None and high is not None:
        said += f" · usual {low:.1f} to {high:.1f}"
        if chart.usual_since is not None and shape == "wide":
            said += f", learned since {sentences.day(chart.usual_since, newest.client_day)}"
    left: Spec = {"align": "left", "color": INK, "fontSize": 14, "fontWeight": "bold", "x": 0}
    right: Spec = {"align": "right", "color": MUTED, "x": WIDTHS[shape]}
    return [
        {
            "data": {"values": [{"said": text}]},
            "mark": {"type": "text", "baseline": "bottom", "y": -above, **style},
            "encoding": {"text": {"field": "said"}},
        }
        for text, style in ((name.capitalize(), left), (said, right))
    ]


def _band(days: Days, index: int, x: Spec) -> Spec:
    rows = [
        {
            "on": _instant(on),
            "low": None if day is None else _clip(day.band_low[index]),
            "high": None if day is None else _clip(day.band_high[index]),
        }
        for on, day in days
    ]
    return {
        "data": {"values": rows},
        "mark": {
            "type": "area",
            "color": BAND,
            "opacity": 1,
            "interpolate": "step",
            "invalid": "break-paths-filter-domains",
        },
        "encoding": {
            "x": x,
            "y": {"field": "low", "type": "quantitative", "scale": SCALE},
            "y2": {"field": "high"},
        },
    }


def _treatment(chart: Chart, x: Spec, *, numbered: bool) -> list[Spec]:
    given = [{"on": _instant(on), "number": str(number)} for on, number in chart.infusions]
    attended = [{"on": _instant(on), "from": SESSION_TICK[0], "to": SESSION_TICK[1]} for on in chart.sessions]
    layers: list[Spec] = [
        {
            "data": {"values": given},
            "mark": {"type": "rule", "color": ACCENT, "strokeDash": [1, 3], "strokeWidth": 1.4},
            "encoding": {"x": x},
        },
        {
            "data": {"values": attended},
            "mark": {"type": "rule", "color": INK, "strokeWidth": 2},
            "encoding": {
                "x": x,
                "y": {"field": "from", "type": "quantitative", "scale": SCALE},
                "y2": {"field": "to"},
            },
        },
    ]
    if numbered:
        layers.append(
            {
                "data": {"values": given},
                "mark": {"type": "text", "color": ACCENT, "fontWeight": "bold", "dy": -6, "y": 0},
                "encoding": {"x": x, "text": {"field": "number"}},
            }
        )
    return layers


def _substances(chart: Chart, days: Days, x: Spec, y: Spec) -> Spec:
    asked = sorted({substance for answers in chart.by_substance.values() for substance in answers})
    # A day without an answer stands there too, as null, so that the line breaks.
    rows = [
        {
            "on": _instant(on),
            "substance": substance,
            "value": chart.by_substance.get(on, {}).get(substance),
        }
        for on, _ in days
        for substance in asked
    ]
    return {
        "data": {"values": rows},
        "mark": {"type": "line", "strokeWidth": 1, "color": MUTED, "invalid": "break-paths-filter-domains"},
        "encoding": {
            "x": x,
            "y": y,
            "strokeDash": {"field": "substance", "type": "nominal", "legend": {"title": None, "orient": "top-right"}},
        },
    }


def _answers(days: Days, index: int, x: Spec, y: Spec) -> list[Spec]:
    line: list[Spec] = []
    points: list[Spec] = []
    for client_day, day in days:
        value, on = (None if day is None else value_of(index, day)), _instant(client_day)
        line.append({"on": on, "value": value})
        if day is None:
            continue
        if value is not None:
            outside = is_outside(index, value, day)
            points.append({"on": on, "value": value, "kind": "outside" if outside else "inside"})
        else:
            points.append({"on": on, "value": CROSS_AT, "kind": "gap"})
    kinds = ["inside", "outside", "gap"]
    return [
        {
            "data": {"values": line},
            "mark": {
                "type": "line",
                "color": INK,
                "strokeWidth": 1.3,
                "opacity": 0.75,
                "invalid": "break-paths-filter-domains",
            },
            "encoding": {"x": x, "y": y},
        },
        {
            "data": {"values": points},
            "mark": {"type": "point", "filled": False, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "shape": _by_kind(kinds, ["circle", "diamond", "M-.6,-.6L.6,.6M-.6,.6L.6,-.6"]),
                "fill": _by_kind(kinds, [INK, OFF, "transparent"]),
                "stroke": _by_kind(kinds, [INK, OFF, MUTED]),
                "size": _by_kind(kinds, [14, 70, 28]),
            },
        },
    ]


def _not_asked(days: Days, x: Spec, y: Spec, pixels_a_day: float) -> list[Spec]:
    """A dashed line below the scale over each stretch of days without a trend, with its dates where there is room: no
    word lies over the answers beside it."""
    half = timedelta(hours=10)
    rows = [
        {
            "on": (datetime.combine(first, time(), UTC) - half).isoformat(),
            "until": (datetime.combine(last, time(), UTC) + half).isoformat(),
            "value": CROSS_AT,
            "said": _said_within(pixels_a_day * ((last - first).days + 1), first, last, days[-1][0]),
            "middle": (datetime.combine(first, time(), UTC) + (last - first) / 2).isoformat(),
        }
        for first, last in not_asked_stretches(days)
    ]
    return [
        {
            "data": {"values": rows},
            "mark": {"type": "rule", "color": MUTED, "strokeDash": [5, 3]},
            "encoding": {"x": x, "x2": {"field": "until"}, "y": y},
        },
        {
            "data": {"values": rows},
            "mark": {"type": "text", "color": MUTED, "dy": -9},
            "encoding": {"x": {**x, "field": "middle"}, "y": y, "text": {"field": "said"}},
        },
    ]


def _said_within(pixels: float, first: date, last: date, newest: date) -> str:
    """What is said of a stretch of days on which nothing was asked, as much as there is room for."""
    whole = f"not asked {sentences.span(first, last, newest)}"
    return next((said for said in (whole, "not asked") if len(said) * LETTER_PIXELS <= pixels), "")


def _by_kind(kinds: list[str], values: list[object]) -> Spec:
    return {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": kinds, "range": values},
        "legend": None,
    }


def config() -> Spec:
    """Type and colours of every chart."""
    return {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": MUTED,
            "labelFontSize": 12,
            "titleColor": MUTED,
            "titleFontWeight": "normal",
            "titleFontSize": 12,
            "domainColor": LINE,
            "tickColor": LINE,
        },
        "title": {
            "color": INK,
            "subtitleColor": MUTED,
            "fontSize": 14,
            "subtitleFontSize": 12,
            "fontWeight": "bold",
        },
        "legend": {"labelColor": MUTED, "labelFontSize": 12, "symbolStrokeColor": MUTED},
        "text": {"fontSize": 12},
    }


def _instant(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _clip(value: float | None) -> float | None:
    return None if value is None else min(max(value, 0.0), float(SCALE_TOP))
