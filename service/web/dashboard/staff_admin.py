"""The clinic's own affairs, for admins: who works here, and where webhooks go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.gate import GateSetting
from schemas.messaging import EndpointSecret
from schemas.rota import Cover, Shift
from schemas.staff import LinkPurpose, Role, Staff
from service import errors
from service.alerting import leases
from service.desk import first_steps, therapists
from service.facts import gate_checks
from service.people import clinics, covers, one_time_links, shifts, staff, webhook_endpoints
from service.people.access import Permission
from service.web import desk_page, page_problems, strict
from service.web.api import webhook_api
from service.web.desk_session import Desk, choices_of, form_of, open_desk, typed_number
from service.web.forms import as_shown
from service.web.pages import go_to

STAFF = {"access": Permission.MANAGE_STAFF}
SETTINGS = {"access": Permission.MANAGE_SETTINGS}
WHOSE = {"yes": True, "no": False}
Duty = TypeVar("Duty", Shift, Cover)


@get("/staff", opt=STAFF)
async def show_staff(desk: NamedDependency[Desk]) -> Response[Any]:
    """Everybody who works here, and the form to invite somebody."""
    people = await staff.all_of(desk.db)
    context = {
        "people": people,
        "roles": list(Role),
        "names": {each.staff_id: each.name for each in people},
        "shifts": _of_each(await shifts.standing(desk.db, now=desk.now), lambda each: each.staff_id),
        "covers": _of_each(await covers.standing(desk.db, now=desk.now), lambda each: each.covered_by),
        "invited": await one_time_links.invited(desk.db, demo=desk.services.config.demo, now=desk.now),
        "only_theirs": await therapists.only_theirs(desk.db, now=desk.now),
        "assigns_all": (who := desk.reach_or_none(Permission.MANAGE_CLIENTS)) is not None and who.clinic,
        "shown_of": lambda person: as_shown.marks_of(_fields_of(person)),
    }
    return await desk_page.show(desk, "staff.html", context, here="/staff")


def _of_each(duties: Iterable[Duty], whose: Callable[[Duty], UUID]) -> dict[UUID, list[Duty]]:
    """By person; without them, these shifts and covers would tell nobody."""
    found: defaultdict[UUID, list[Duty]] = defaultdict(list)
    for each in duties:
        found[whose(each)].append(each)
    return found


@post("/staff", opt=STAFF)
async def invite(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Add a person; the link with which they set their password is shown this once."""
    form, ticked = await form_of(request), await choices_of(request, "roles")
    staff_id = await staff.add(
        desk.db,
        email=form.get("email", ""),
        name=form.get("name", ""),
        roles=[role for role in Role if role in ticked],
        now=desk.now,
    )
    await desk.record("staff.invite", object_id=staff_id)
    return await _link_page(desk, staff_id, is_new=True)


@post("/staff/{staff_id:uuid}", opt=STAFF)
async def change(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], staff_id: FromPath[UUID]
) -> Response[Any]:
    """Correct a person's name, address or roles."""
    form, ticked = await form_of(request), await choices_of(request, "roles")
    await staff.hold(desk.db, staff_id)
    sent = {**form, "email": form.get("email", "").strip().lower(), "roles": ticked}
    as_shown.refuse_older(sent, _fields_of(await staff.get(desk.db, staff_id)))
    changed = await staff.change(
        desk.db,
        staff_id,
        email=form.get("email", ""),
        name=form.get("name", ""),
        roles=[role for role in Role if role in ticked],
        by=desk.who.staff_id,
        now=desk.now,
    )
    if changed:
        await leases.end_beyond_reach(desk.db, now=desk.now)
        await desk.record("staff.change", object_id=staff_id)
    return go_to("/staff")


def _fields_of(person: Staff) -> as_shown.Fields:
    return {"name": person.name, "email": person.email, "roles": person.roles}


@post("/staff/{staff_id:uuid}/reset", opt=STAFF)
async def reset(desk: NamedDependency[Desk], staff_id: FromPath[UUID]) -> Response[Any]:
    """A link for a new password and a new second factor, shown this once."""
    if (await staff.get(desk.db, staff_id)).disabled_at is not None:
        raise errors.Conflict("This person is disabled. Let them sign in again first.")
    await desk.record("staff.reset", object_id=staff_id)
    return await _link_page(desk, staff_id, is_new=False)


async def _link_page(desk: Desk, staff_id: UUID, *, is_new: bool) -> Response[str]:
    path = await one_time_links.issue(desk.db, staff_id, LinkPurpose.SET_PASSWORD, by=desk.who.staff_id, now=desk.now)
    context = {
        "person": await staff.get(desk.db, staff_id),
        "url": desk.services.config.base_url + path,
        "is_new": is_new,
        "valid_hours": int(one_time_links.VALID[LinkPurpose.SET_PASSWORD].total_seconds() // 3600),
    }
    return await desk_page.show(desk, "staff_link.html", context, here="/staff")


@post("/staff/{staff_id:uuid}/disable", opt=STAFF)
async def disable(desk: NamedDependency[Desk], staff_id: FromPath[UUID]) -> Response[Any]:
    """Shut a person out at once."""
    await staff.disable(desk.db, staff_id, by=desk.who.staff_id, now=desk.now)
    await leases.end_beyond_reach(desk.db, now=desk.now)
    await desk.record("staff.disable", object_id=staff_id)
    return go_to("/staff")


@post("/staff/{staff_id:uuid}/enable", opt=STAFF)
async def enable(desk: NamedDependency[Desk], staff_id: FromPath[UUID]) -> Response[Any]:
    """Let a person sign in again."""
    await staff.enable(desk.db, staff_id, now=desk.now)
    await desk.record("staff.enable", object_id=staff_id)
    return go_to("/staff")


@get("/settings", opt=SETTINGS)
async def show_settings(desk: NamedDependency[Desk]) -> Response[Any]:
    """The clinic's settings and webhook endpoints."""
    view, setting = await clinics.get_view(desk.db), await clinics.get_setting(desk.db)
    gate = await gate_checks.setting_of(desk.db)
    context = {
        # Not the desk's view, which may be half a minute old.
        "clinic": view.clinic,
        "notice": view.monitoring_notice,
        "setting": setting,
        "steps_open": len((await first_steps.read(desk.db)).open),
        "gate": msgspec.structs.asdict(gate),
        "gate_shown": as_shown.marks_of(_numbers_of(gate)),
        "endpoints": await webhook_endpoints.of(desk.db),
    }
    return await desk_page.show(desk, "settings.html", context, here="/settings")


@post("/settings/gate", opt=SETTINGS)
async def choose_gate(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Set the clinic's hours and limits."""
    form = await form_of(request)
    body = {name: typed_number(form.get(name, "")) for name in GateSetting.__struct_fields__}
    setting = strict.decode(msgspec.json.encode(body), GateSetting)
    await clinics.hold_setting(desk.db)
    as_shown.refuse_older(form, _numbers_of(await gate_checks.setting_of(desk.db)))
    await gate_checks.choose(desk.db, setting, now=desk.now)
    await desk.record("setting.change_gate")
    return go_to("/settings")


def _numbers_of(setting: GateSetting) -> as_shown.Fields:
    """What the form of the clinic's hours and limits shows."""
    return {name: str(number) for name, number in msgspec.structs.asdict(setting).items()}


@post("/settings/seen", opt=SETTINGS)
async def choose_seen(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Choose whether clients read that their team has seen their answers."""
    await clinics.tell_seen(desk.db, "tell_seen" in await form_of(request), now=desk.now)
    await desk.record("setting.change_seen")
    desk.services.views.forget(desk.db.clinic_id)
    return go_to("/settings")


@post("/settings/webhooks", opt=SETTINGS)
async def add_webhook(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """Add an endpoint; its signing secret is shown this once."""
    form = await form_of(request)
    made = await webhook_api.add(desk, form.get("url", "").strip(), outside="outside" in form)
    return await _secret_page(desk, made, is_new=True)


@post("/settings/webhooks/{endpoint_id:uuid}/rotate", opt=SETTINGS)
async def rotate_webhook(desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]) -> Response[Any]:
    """A new signing secret, shown this once; the one before signs beside it for a day, and none that is older."""
    still_until = (await webhook_endpoints.get(desk.db, endpoint_id)).previous_until
    ends_one = still_until is not None and still_until > desk.now
    return await _secret_page(desk, await webhook_api.rotate(desk, endpoint_id), is_new=False, ends_one=ends_one)


async def _secret_page(desk: Desk, made: EndpointSecret, *, is_new: bool, ends_one: bool = False) -> Response[str]:
    url = (await webhook_endpoints.get(desk.db, made.endpoint_id)).url
    context = {"url": url, "secret": made.secret, "is_new": is_new, "ends_one": ends_one}
    return await desk_page.show(desk, "webhook_secret.html", context, here="/settings")


@post("/settings/webhooks/{endpoint_id:uuid}/disable", opt=SETTINGS)
async def disable_webhook(desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]) -> Response[Any]:
    """Send nothing there any more."""
    await webhook_api.disable(desk, endpoint_id)
    return go_to("/settings")


@post("/settings/webhooks/{endpoint_id:uuid}/enable", opt=SETTINGS)
async def enable_webhook(desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]) -> Response[Any]:
    """Send there again."""
    await webhook_api.enable(desk, endpoint_id)
    return go_to("/settings")


@post("/settings/webhooks/{endpoint_id:uuid}/outside", opt=SETTINGS)
async def set_webhook_outside(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], endpoint_id: FromPath[UUID]
) -> Response[Any]:
    """Say whether it belongs to somebody outside the clinic."""
    outside = WHOSE.get((await form_of(request)).get("outside", ""))
    if outside is None:
        raise errors.Invalid("Say whose it is.", fields=(errors.FieldFault("outside", "yes or no"),))
    await webhook_api.set_outside(desk, endpoint_id, outside=outside)
    return go_to("/settings")


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_staff,
            invite,
            change,
            reset,
            disable,
            enable,
            show_settings,
            choose_gate,
            choose_seen,
            add_webhook,
            rotate_webhook,
            disable_webhook,
            enable_webhook,
            set_webhook_outside,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
