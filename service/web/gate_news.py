"""Who decided what at a gate meanwhile, in people's words: told to whoever decides on an older page.

Why they did stands on the page alone: what is refused is told in an error, which holds no health data.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from uuid import UUID

from schemas.gate import Decision, GateCheck
from service import errors
from service.desk import gate_words, told
from service.facts import gate_checks
from service.web.desk_session import Desk
from service.web.pages import clock, moment

WORDS: Mapping[Decision, str] = MappingProxyType(
    {
        Decision.CLEAR: "{who} cleared it at {at}",
        Decision.HOLD: "{who} put it on hold at {at}",
        Decision.RELEASE: "{who} took the hold back at {at}",
        Decision.OVERRIDE: "{who} let it go ahead all the same at {at}",
    }
)


@asynccontextmanager
async def in_words(desk: Desk, infusion_id: UUID, seen: int | None) -> AsyncIterator[None]:
    """What is decided within is refused, where somebody decided after the first `seen` decisions, with who did what and
    when. Raises Overtaken for that, and for whatever else the gate does not allow any more."""
    try:
        yield
    except errors.Conflict as refusal:
        came = await _since(desk, infusion_id, seen)
        said = f"Since you opened this page: {came}. Look at it before you decide." if came else refusal.message
        raise errors.Overtaken(said) from None


async def _since(desk: Desk, infusion_id: UUID, seen: int | None) -> str:
    """What was decided since, in its order; nothing where it is not known what was seen."""
    if seen is None:
        return ""
    decided = (await gate_checks.of_infusions(desk.db, [infusion_id]))[seen:]
    names = await told.names_of(desk.db, (each.decided_by for each in decided))
    return "; ".join(_words(desk, each, names) for each in decided)


def _words(desk: Desk, check: GateCheck, names: Mapping[UUID, str]) -> str:
    zone = desk.view.zone
    is_today = check.decided_at.astimezone(zone).date() == desk.today
    who = "you" if check.decided_by == desk.who.staff_id else gate_words.by_whom(check.decided_by, names)
    return WORDS[check.decision].format(who=who, at=(clock if is_today else moment)(check.decided_at, zone))
