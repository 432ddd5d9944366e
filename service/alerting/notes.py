"""What people write of an alert, a note or why they put it off: sealed with the client's key, each bound to its row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.alert import AlertEvent, EventKind
from service import errors
from service.alerting import alert_states
from service.database import Db
from service.keys.sealing import Sealer

MOST_CHARACTERS = 4_000
# In an event's detail: under which id its note was sent, and of how many events of the alert its writer had read.
SENT_AS = "sent_as"
SEEN = "seen"


class _Sent(msgspec.Struct, frozen=True):
    alert_event_id: UUID
    note_sealed: bytes


SENT = """
select alert_event_id, note_sealed
from alert_event
where clinic_id = $1
  and alert_id = $2
  and detail ->> 'sent_as' = $3
  and note_sealed is not null
"""


async def append_once(
    db: Db,
    alert_id: UUID,
    text: str,
    *,
    sent_as: UUID | None,
    by: UUID,
    now: datetime,
    sealer: Sealer,
    seen: int | None = None,
) -> bool:
    """Append a note of somebody who had read the first `seen` events; False where the same one was sent under this id
    before, as by somebody whom no answer reached. Under the alert's lock. What was written on since is another one.
    """
    for sent in await db.rows(_Sent, SENT, db.clinic_id, alert_id, str(sent_as)) if sent_as else ():
        if sealer.open(sent.note_sealed, bound_to=_binding(db.clinic_id, sent.alert_event_id)).decode() == text:
            return False
    detail: dict[str, object] = {SENT_AS: str(sent_as)} if sent_as else {}
    if seen is not None:
        detail[SEEN] = seen
    await append(db, alert_id, EventKind.NOTED, text, by=by, now=now, sealer=sealer, detail=detail)
    return True


async def append(
    db: Db,
    alert_id: UUID,
    kind: EventKind,
    text: str,
    *,
    by: UUID,
    now: datetime,
    sealer: Sealer,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Append an event with what somebody wrote; `sealer` is the client's. Raises Invalid where it is too long."""
    if len(text) > MOST_CHARACTERS:
        field = "reason" if kind is EventKind.SNOOZED else "note"
        fault = errors.FieldFault(field, f"at most {MOST_CHARACTERS} characters")
        raise errors.Invalid("The text is too long.", fields=(fault,))
    event_id = await alert_states.next_event_id(db, alert_id)
    sealed = sealer.seal(text.encode(), bound_to=_binding(db.clinic_id, event_id))
    await alert_states.record(db, alert_id, kind, by=by, now=now, event_id=event_id, note_sealed=sealed, detail=detail)


def text_of(event: AlertEvent, sealer: Sealer, *, clinic_id: UUID) -> str | None:
    """The text of an event, None where it has none. Raises Invalid when it does not open."""
    if event.note_sealed is None:
        return None
    return sealer.open(event.note_sealed, bound_to=_binding(clinic_id, event.alert_event_id)).decode()


def _binding(clinic_id: UUID, event_id: UUID) -> str:
    return f"alert_event:{clinic_id}:{event_id}:note"
