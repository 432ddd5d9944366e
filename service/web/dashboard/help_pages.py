"""What the marks of the desk mean, on one screen."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide

from service.detection.limits import FIRST_ALERT_DAY, OWN_CHECK_INS
from service.detection.status import DAYS_BACK, SILENT_DAYS
from service.people.access import Permission
from service.rules import rule_sets
from service.web import desk_page, page_problems
from service.web.desk_session import Desk, open_desk


@get("/how-to-read", opt={"access": Permission.USE_OWN_ACCOUNT})
async def show_how_to_read(desk: NamedDependency[Desk]) -> Response[Any]:
    """Band, status and tiers, with the clinic's own numbers."""
    rules = rule_sets.on(await rule_sets.of(desk.db), desk.today).rules
    context = {
        "budget_days": f"{rules.budget_days:g}",
        "silent_days": SILENT_DAYS,
        "own_check_ins": OWN_CHECK_INS,
        "first_alert_day": FIRST_ALERT_DAY,
        "days_back": DAYS_BACK,
    }
    return await desk_page.show(desk, "how_to_read.html", context)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_how_to_read],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
