"""Whether what a page shows changed since: it says so beside its time, and nothing moves until somebody asks for it.

A page that people rest on is old from its first minute. It asks by itself every so often, as the number of open alerts
does, and not by a stream of its own: a browser opens six connections to a server, and a stream keeps one for as long as
its tab is open. What it is asked for is read under the reader's own session, and only a digest of it is compared.
It goes on asking after it was told something: what is urgent may come after what is not. What is told holds a field
`told` that is asked with it from then on, so that nothing is told twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from schemas.alert import Tier
from service.alerting import news
from service.desk import caseload, therapists
from service.desk.open_alerts import OpenAlert, Waiting
from service.people.access import Permission
from service.web import alert_news, alert_verbs, page_problems
from service.web.desk_session import Desk, open_desk
from service.web.pages import HEADERS

Milliseconds = Annotated[int | None, QueryParameter(ge=0, le=10**14)]
Number = Annotated[int | None, QueryParameter(ge=0, le=1_000_000)]


def digest_of(shown: object) -> str:
    """A digest of what a page shows, the same in every process: Structs, tuples and what they hold."""
    plain = msgspec.to_builtins(shown, str_keys=True, order="deterministic")
    return hashlib.sha256(msgspec.json.encode(plain)).hexdigest()[:16]


@get("/caseload/changed", opt={"access": Permission.SEE_CLIENTS})
async def look_at_caseload(
    desk: NamedDependency[Desk],
    seen: FromQuery[str] = "",
    since: Milliseconds = None,
    told: FromQuery[str] = "",
) -> Response[Any]:
    """Whether the caseload is another than the one that was seen."""
    read = await caseload.read(desk.db, desk.reach(), now=desk.now)
    changed = version_of_caseload(read, await left_alone(desk, read)) != seen
    return answer(desk, changed=changed, told=told, urgent=urgent_since(read.lines, since))


async def left_alone(desk: Desk, read: caseload.Caseload) -> set[UUID]:
    """Whose therapist does not work here any more, of those in treatment."""
    return await therapists.left_alone(desk.db, [each.client.client_id for each in read.lines], now=desk.now)


def version_of_caseload(read: caseload.Caseload, alone: set[UUID]) -> str:
    """A digest of what the caseload shows."""
    return digest_of((read.lines, sorted(alone)))


@get("/alerts/{alert_id:uuid}/changed", opt={"access": Permission.SEE_ALERTS})
async def look_at_alert(
    desk: NamedDependency[Desk], alert_id: FromPath[UUID], seen: Number = None, told: Number = None
) -> Response[Any]:
    """What came to an alert since so many of its events were seen, and who did it; nothing where all was `told`."""
    await alert_verbs.reached(desk, alert_id)
    seen = seen or 0
    so_far = (await news.counts(desk.db, [alert_id]))[alert_id]
    if not await alert_news.since(desk, alert_id, seen if told is None else told):
        return _nothing_new()
    came = await alert_news.since(desk, alert_id, seen)
    return desk.services.pages.show("alert_changed.html", {"told": so_far, "came": "; ".join(came)})


class Urgent(NamedTuple):
    """How many urgent alerts are new, and how many others have a new reason."""

    opened: int = 0
    joined: int = 0


NOTHING_URGENT = Urgent()


def urgent_since(lines: Sequence[caseload.Line], since: int | None) -> Urgent:
    """What is new and urgent of these lines since then (milliseconds since 1970 UTC)."""
    return urgent_among([alert for line in lines for alert in line.alerts], since)


def urgent_among(alerts: Sequence[OpenAlert | Waiting], since: int | None) -> Urgent:
    """What is new and urgent of these alerts since then (milliseconds since 1970 UTC)."""
    if since is None:
        return NOTHING_URGENT
    news = [each for each in alerts if each.tier is Tier.URGENT and each.newest_at.timestamp() * 1_000 > since]
    opened = sum(each.opened_at.timestamp() * 1_000 > since for each in news)
    return Urgent(opened, len(news) - opened)


def answer(desk: Desk, *, changed: bool, told: str, urgent: Urgent = NOTHING_URGENT, stopped: int = 0) -> Response[Any]:
    """To a page that asks whether what it shows changed, and was `told` so much before (empty: nothing yet); what is
    new and `urgent`; so many infusions were `stopped`, which might go ahead, as the page says."""
    tells = f"{urgent.opened}.{urgent.joined}.{stopped}"
    if tells == told or not (changed or told):
        return _nothing_new()
    # What was told in the title before, and is not so any more, stands there no longer.
    context = {"urgent": urgent, "stopped": stopped, "told": tells, "told_before": bool(told)}
    return desk.services.pages.show("changed.html", context)


def _nothing_new() -> Response[Any]:
    return Response(None, status_code=204, headers=dict(HEADERS))


ROUTES = (
    Router(
        path="/",
        route_handlers=[look_at_caseload, look_at_alert],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
