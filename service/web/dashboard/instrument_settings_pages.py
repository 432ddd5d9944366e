"""The desk's page of the clinic's instruments: how often each is asked, and bringing in one of its own."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.instrument import Instrument
from schemas.instrument_response import RhythmForm
from service import instrument_settings
from service.desk import sentences
from service.people.access import Permission
from service.web import desk_page, page_problems, strict
from service.web.desk_session import Desk, form_of, open_desk, typed_number
from service.web.pages import go_to

SETTINGS = {"access": Permission.MANAGE_SETTINGS}
HERE = "/settings/instruments"


@get(HERE, opt=SETTINGS)
async def show_settings(desk: NamedDependency[Desk]) -> Response[Any]:
    """Every instrument of the clinic with its licence and rhythms."""
    lines = await instrument_settings.all_of(desk.db)
    context = {
        "lines": [(each, instrument_settings.rhythms_of(each, desk.today)) for each in lines],
        "today": desk.today,
        "dated": lambda on: sentences.day(on, desk.today),
    }
    return await desk_page.show(desk, "instruments.html", context, here="/settings")


@post("/settings/instruments/{code:str}/schedule", opt=SETTINGS)
async def choose_rhythm(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], code: FromPath[str]
) -> Response[Any]:
    """Ask it every so many days in a phase, or never, from a day on."""
    form = await form_of(request)
    typed = {name: form.get(name, "").strip() for name in ("every_days", "open_days")}
    days = {name: typed_number(text) if text else None for name, text in typed.items()}
    told = {"phase": form.get("phase", ""), "from_on": form.get("from_on", ""), **days}
    if form.get("never") == "yes":
        told |= {"every_days": None, "open_days": None}
    elif told["every_days"] is None:
        told["every_days"] = ""  # an empty field is a slip, never the choice not to ask any more
    chosen = strict.decode(msgspec.json.encode(told), RhythmForm)
    await instrument_settings.choose(desk.db, code, chosen, by=desk.actor, now=desk.now)
    return go_to(f"{HERE}#{code}")


@post(HERE, opt=SETTINGS)
async def bring_in(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Keep a version of the clinic's own instrument, told as the text of a data file."""
    text = (await form_of(request)).get("definition", "").replace("\r\n", "\n")
    instrument = strict.decode(instrument_settings.json_of(text.encode()), Instrument)
    await instrument_settings.add(desk.db, instrument, by=desk.actor, now=desk.now)
    return go_to(f"{HERE}#{instrument.code}")


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_settings, choose_rhythm, bring_in],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
