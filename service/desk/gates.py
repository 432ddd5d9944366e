"""Gates as the clinical staff read them: a day's infusions, and one gate with its records and decisions."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.gate import Decided, GateCheck, GateReply, ScreensReply
from service.database import Db
from service.desk import gate_words
from service.facts import gate_checks
from service.gate import decide, read, screens
from service.gate.read import Gate
from service.keys.sealing import Sealer
from service.people import access, staff
from service.people.access import Reach


async def of_day(db: Db, who: Reach, day: date, zone: ZoneInfo, *, now: datetime) -> list[Gate]:
    """The gates of the infusions whose slot lies on that day of the clinic's calendar, in their order."""
    first = datetime.combine(day, time(0), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)
    visible = await access.visible_clients(db, who, now=now)
    return await read.of_slots(db, await gate_checks.slots_between(db, visible, first, end), now=now)


class GateView(NamedTuple):
    """One gate as its page shows it: its decisions newest first, with names and reasons."""

    gate: Gate
    decisions: list[Decided]
    names: dict[UUID, str]

    def reply(self) -> GateReply:
        """The same for the API."""
        gate = self.gate
        return GateReply(
            line=gate.line(),
            opens_at=gate.opens_at,
            setting=gate.setting,
            screens=list(gate.records.screens),
            vitals=list(gate.records.vitals),
            checklists=list(gate.records.checklists),
            decisions=self.decisions,
            known=gate.known,
        )


async def view_of(db: Db, client_id: UUID, infusion_id: UUID, *, sealer: Sealer, now: datetime) -> GateView:
    """One gate, its reasons opened by the client's `sealer`. Raises NotFound."""
    gate = await read.of_infusion(db, client_id, infusion_id, now=now)
    names = {each.staff_id: each.name for each in await staff.all_of(db)}
    decisions = [_decided(db, each, names, sealer) for each in reversed(gate.decisions)]
    return GateView(gate, decisions, names)


def _decided(db: Db, check: GateCheck, names: dict[UUID, str], sealer: Sealer) -> Decided:
    return Decided(
        gate_check_id=check.gate_check_id,
        decision=check.decision,
        reason=decide.reason_of(check, sealer, clinic_id=db.clinic_id),
        planned_at=check.planned_at,
        decided_by=check.decided_by,
        decided_by_name=gate_words.by_whom(check.decided_by, names),
        decided_at=check.decided_at,
        expires_at=check.expires_at,
        missing=check.missing,
        proposals=check.proposals,
    )


async def screens_of(db: Db, client_id: UUID, *, now: datetime) -> ScreensReply:
    """A client's screens beside their answers. Raises NotFound."""
    return await screens.read(db, client_id, now=now)
