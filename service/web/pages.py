"""Pages for people: Jinja templates, the headers that every page carries, and times as the clinic reads them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from zoneinfo import ZoneInfo

import jinja2
from litestar import Response
from litestar.enums import MediaType

from schemas.alert import Tier
from service.desk import sentences
from service.web.assets import Assets

TEMPLATES = Path(__file__).parent / "templates"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        # Not no-referrer: a browser then sends `Origin: null` with every form.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
)

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")
A_WEEK = 7


class Pages:
    """The templates and the files they name; one per process."""

    def __init__(self, assets: Assets, *, is_demo: bool = False) -> None:
        self.assets = assets
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["asset"] = assets.url
        self._environment.globals["is_demo"] = is_demo
        self._environment.filters |= {
            "day": day,
            "long_day": long_day,
            "moment": moment,
            "printed": printed,
            "slot": slot,
            "clock": clock,
            "how_long": how_long,
            "count_word": count_word,
            "words": words,
            "score": score,
            "tier": lambda tier: Tier(tier).word,
            "difference": difference,
            "tenths": sentences.tenths,
            "signed_tenths": signed_tenths,
        }

    def render(self, template: str, context: Mapping[str, object]) -> str:
        """The text of a page alone, where it is kept for everybody."""
        return self._environment.get_template(template).render(context)

    def show(
        self, template: str, context: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] = HEADERS
    ) -> Response[str]:
        """A page, or a part of one."""
        text = self.render(template, context)
        return Response(text, status_code=status, media_type=MediaType.HTML, headers=dict(headers))


def go_to(path: str, *, status: Literal[303] = 303) -> Response[None]:
    """Send the browser elsewhere after a form, by GET."""
    return Response(None, status_code=status, headers={"Location": path, "Cache-Control": "no-store"})


def local_path(text: str | None, otherwise: str) -> str:
    """Where to go on after signing in: only a path of ours, since whoever wrote the link chose it."""
    if text and text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii() and text.isprintable():
        return text
    return otherwise


def day(value: date) -> str:
    """A client day: "18 Nov"."""
    return f"{value.day} {MONTHS[value.month - 1]}"


def long_day(value: date) -> str:
    """A client day of any year: "18 Nov 2024"."""
    return f"{day(value)} {value.year}"


def moment(value: datetime, zone: ZoneInfo) -> str:
    """An instant on the clinic's clock: "21 Nov 08:12", of another year than this one "21 Nov 2024 08:12"."""
    local = value.astimezone(zone)
    said = day if local.year == datetime.now(zone).year else long_day
    return f"{said(local.date())} {local:%H:%M}"


def printed(value: datetime, zone: ZoneInfo) -> str:
    """An instant on a sheet that may be read in another year: "Fri 27 Nov 2026 17:41"."""
    local = value.astimezone(zone)
    return f"{WEEKDAYS[local.weekday()]} {long_day(local.date())} {local:%H:%M}"


def clock(value: datetime, zone: ZoneInfo) -> str:
    """The time of day on the clinic's clock: "08:12"."""
    return f"{value.astimezone(zone):%H:%M}"


def difference(value: float) -> str:
    """Points between two scores, as `score` tells them: "+4", "-4.1"."""
    return f"{value:+.0f}" if float(value).is_integer() else signed_tenths(value)


def signed_tenths(value: float) -> str:
    """Points with their sign and one decimal, rounded as `score` rounds: "+1.3"."""
    return f"{'-' if value < 0 else '+'}{sentences.tenths(abs(value))}"


def slot(value: datetime, zone: ZoneInfo, now: datetime, *, inside: bool = False) -> str:
    """A coming appointment as one says it: "Today 14:00", "Tomorrow 10:30", "Wed 09:00", "7 Dec 09:00"; `inside` a
    sentence "tomorrow 10:30".
    """
    local, today = value.astimezone(zone), now.astimezone(zone).date()
    ahead = (local.date() - today).days
    if ahead in (0, 1):
        name = ("Today", "Tomorrow")[ahead]
        return f"{name.lower() if inside else name} {local:%H:%M}"
    name = WEEKDAYS[local.weekday()] if 0 < ahead < A_WEEK else day(local.date())
    return f"{name} {local:%H:%M}"


def how_long(span: timedelta) -> str:
    """A span in its two greatest units: "2 h 10 min", "3 days"."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} days"


def count_word(number: int) -> str:
    """A count at the head of a sentence: "Four", "13"."""
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def words(code: str) -> str:
    """A code of the database as words: "not_on_track" → "not on track"."""
    return code.replace("_", " ")


def score(value: float | None) -> str:
    """A score or level, "–" where there is none."""
    if value is None:
        return "–"
    return str(int(value)) if float(value).is_integer() else sentences.tenths(value)
