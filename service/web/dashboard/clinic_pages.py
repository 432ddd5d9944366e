"""The pages of a clinic's name, clock, words and hours, and of its first steps, for admins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.crisis import CrisisContact
from schemas.staff import Role
from service import clinic_clock, errors
from service.clinic_clock import ZoneChange
from service.desk import first_steps
from service.desk.first_steps import Step
from service.people import access, clinic_notices, clinics, staff
from service.people.access import Permission
from service.people.clinic_notices import MOST_CONTACTS, WEEKDAYS, Notices
from service.web import desk_page, languages, page_problems
from service.web.desk_session import Desk, form_of, open_desk
from service.web.forms import as_shown
from service.web.pages import go_to
from service.web.phone import contact_line

SETTINGS = {"access": Permission.MANAGE_SETTINGS}
HERE = "/settings/clinic"
NAME = "/settings/name"
FIRST_STEPS = "/settings/first-steps"
# The roles of those who add clients, whom an admin alone asks.
ADD_CLIENTS = [role for role in Role if access.may([role], Permission.MANAGE_CLIENTS)]
# Title, what it means, and where it is done.
SAID: dict[Step, tuple[str, str, str]] = {
    Step.NAME: ("Name and time zone", "What staff and clients read, and the clock of everything here.", NAME),
    Step.HOURS: ("When you are open", "What clients read of when somebody reads their answers follows from it.", HERE),
    Step.CRISIS: (
        "Whom a client in danger can reach",
        "On every phone, also without a network. National lines until you change them.",
        HERE,
    ),
    Step.STAFF: (
        "Invite your colleagues",
        "Each gets a link that is shown once. A coordinator or a clinician adds clients; an admin alone cannot.",
        "/staff",
    ),
    Step.ON_CALL: (
        "Say who is on call",
        "Urgent alerts reach them when nobody of the care team answers; without anybody, the coordinators.",
        "/rota",
    ),
    Step.CLIENT: (
        "The first client",
        "A coordinator or clinician adds them from the caseload, with the substances of the course.",
        "/clients/new",
    ),
    Step.SHEET: (
        "Their enrolment sheet",
        "On the client's page, under Phone and care team: print the page with the code and hand it over."
        " It is good for 72 hours.",
        "/caseload",
    ),
    Step.RULES: (
        "How easily an alert is raised",
        "Try another number on the last 90 days first; to stay with the default is fine.",
        "/rules",
    ),
}
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@get(HERE, opt=SETTINGS)
async def show_clinic(desk: NamedDependency[Desk]) -> Response[Any]:
    """The form, and what held before."""
    stored = await _stored(desk)
    return await _notices_page(desk, stored, shown=as_shown.marks_of(_fields_of(stored)))


async def _stored(desk: Desk) -> Notices:
    setting = await clinics.get_setting(desk.db)
    return Notices(notice_addition=setting.notice_addition, crisis=setting.crisis, hours=setting.hours)


async def _notices_page(desk: Desk, told: Notices, *, shown: str, kept: bool = True) -> Response[str]:
    names = {each.staff_id: each.name for each in await staff.all_of(desk.db)}
    view = msgspec.structs.replace(
        await clinics.get_view(desk.db), hours=told.hours, notice_addition=told.notice_addition
    )
    context = {
        "told": told,
        "shown": shown,
        "kept": kept,
        "spoken": [(name, languages.spoken(view, code).monitoring_notice) for code, name in languages.names().items()],
        "holds_figures": any(letter.isdigit() for letter in told.notice_addition),
        "days": [(number, name, told.hours.get(number)) for number, name in zip(WEEKDAYS, DAYS, strict=True)],
        "card": [contact_line(each) for each in told.crisis],
        "contacts": [*told.crisis, *[None] * (MOST_CONTACTS - len(told.crisis))],
        "former": [(each, names.get(each.changed_by, "")) for each in await clinic_notices.former(desk.db)],
    }
    return await desk_page.show(desk, "clinic.html", context, here="/settings")


@post(HERE, opt=SETTINGS)
async def change_clinic(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Keep the form, or only show what clients would read; phones are told so within half a minute."""
    form = await form_of(request)
    notices = _notices_of(form)
    if "show" in form:
        clinic_notices.refuse_unfit(notices)
        # Still what the first page showed: what is only tried is not stored.
        return await _notices_page(desk, notices, shown=form.get(as_shown.FIELD, ""), kept=False)
    await clinics.hold_setting(desk.db)
    # As it is stored: a contact that was typed below an empty line moves up.
    as_shown.refuse_older({**form, **_fields_of(notices)}, _fields_of(await _stored(desk)))
    if await clinic_notices.change(desk.db, notices, by=desk.who.staff_id, now=desk.now):
        await desk.record("setting.change_clinic")
        desk.services.views.forget(desk.db.clinic_id)
    # Nothing is said of hours and crisis contacts that stay as they were: the form holds more than these.
    return await _on(desk)


@get(NAME, opt=SETTINGS)
async def show_name(desk: NamedDependency[Desk]) -> Response[Any]:
    """The clinic's name and time zone, and what they were."""
    # Not the desk's view: another process may have changed it half a minute ago, and this form would change it back.
    clinic = await clinics.get(desk.db)
    shown = as_shown.marks_of({"name": clinic.name, "time_zone": clinic.time_zone})
    return await _name_page(desk, name=clinic.name, time_zone=clinic.time_zone, shown=shown)


@post(NAME, opt=SETTINGS)
async def change_name(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Keep name and zone; another zone only after the page has said what it moves, and was told to go on."""
    form = await form_of(request)
    name, time_zone = form.get("name", "").strip(), form.get("time_zone", "")
    clinics.refuse_unnamed(name)
    stored = await clinics.hold(desk.db)
    as_shown.refuse_older(form, {"name": stored.name, "time_zone": stored.time_zone})
    moved = await clinic_clock.preview(desk.db, time_zone, now=desk.now)
    if moved is not None and form.get("agreed") != time_zone:
        return await _name_page(desk, name=name, time_zone=time_zone, shown=form.get(as_shown.FIELD, ""), moved=moved)
    if await clinic_clock.change(desk.db, name=name, time_zone=time_zone, by=desk.actor, now=desk.now):
        desk.services.views.forget(desk.db.clinic_id)
    if Step.NAME in (await first_steps.read(desk.db)).open:
        # The form holds nothing else: whoever keeps it as it is has said that it is right.
        await first_steps.leave(desk.db, Step.NAME, by=desk.who.staff_id, now=desk.now)
        return go_to(FIRST_STEPS)
    return await _on(desk)


async def _on(desk: Desk) -> Response[Any]:
    """Whoever keeps a form that is a first step goes on to the next one while there is one, else to the settings."""
    return go_to(FIRST_STEPS if (await first_steps.read(desk.db)).open else "/settings")


async def _name_page(
    desk: Desk, *, name: str, time_zone: str, shown: str, moved: ZoneChange | None = None
) -> Response[str]:
    names = {each.staff_id: each.name for each in await staff.all_of(desk.db)}
    context = {
        "name": name,
        "time_zone": time_zone,
        "shown": shown,
        "zones": clinics.time_zones(),
        "moved": moved,
        "former": [(each, names.get(each.changed_by, "")) for each in await clinics.former(desk.db)],
    }
    return await desk_page.show(desk, "clinic_name.html", context, here="/settings")


@get(FIRST_STEPS, opt={"access": Permission.USE_OWN_ACCOUNT})
async def show_first_steps(desk: NamedDependency[Desk]) -> Response[Any]:
    """What a new clinic has still to do; whoever does not run it has a first step of their own: how to read it all."""
    own = first_steps.of(desk.who.parties)
    if not own:
        return go_to("/how-to-read")
    steps = await first_steps.read(desk.db)
    context = {
        "steps": steps,
        "every": [(step, *SAID[step]) for step in Step],
        "next": next((step for step in steps.open if step in own), None),
        "may_stay": first_steps.MAY_STAY,
        "own": own,
        "colleagues": [each.name for each in await staff.at_work(desk.db, ADD_CLIENTS)],
    }
    return await desk_page.show(desk, "first_steps.html", context, here="/settings")


@post(FIRST_STEPS + "/{step:str}", opt=SETTINGS)
async def choose_step(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], step: FromPath[str]
) -> Response[Any]:
    """Say that a step is right as it is, or have it open again."""
    chosen = next((each for each in Step if each == step), None)
    if chosen is None:
        raise errors.NotFound("There is no such step.")
    if "again" in await form_of(request):
        await first_steps.take_up(desk.db, chosen)
    else:
        await first_steps.leave(desk.db, chosen, by=desk.who.staff_id, now=desk.now)
    return go_to(FIRST_STEPS)


def _fields_of(notices: Notices) -> as_shown.Fields:
    """What the form of the clinic's words and hours shows: the other way of `_notices_of`."""
    contacts = [*notices.crisis, *[CrisisContact("", "")] * (MOST_CONTACTS - len(notices.crisis))]
    hours = {day: notices.hours.get(day, ("", "")) for day in WEEKDAYS}
    return {
        "notice_addition": notices.notice_addition,
        **{f"label_{number}": each.label for number, each in enumerate(contacts, 1)},
        **{f"contact_{number}": each.contact for number, each in enumerate(contacts, 1)},
        **{f"opens_{day}": opens for day, (opens, _) in hours.items()},
        **{f"closes_{day}": closes for day, (_, closes) in hours.items()},
    }


def _notices_of(form: Mapping[str, str]) -> Notices:
    def text(name: str) -> str:
        return form.get(name, "").strip()

    told = [(text(f"label_{number}"), text(f"contact_{number}")) for number in range(1, MOST_CONTACTS + 1)]
    hours = {day: (text(f"opens_{day}"), text(f"closes_{day}")) for day in WEEKDAYS}
    return Notices(
        notice_addition=text("notice_addition"),
        crisis=[CrisisContact(label, contact) for label, contact in told if label or contact],
        hours={day: pair for day, pair in hours.items() if any(pair)},
    )


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_name, change_name, show_clinic, change_clinic, show_first_steps, choose_step],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
