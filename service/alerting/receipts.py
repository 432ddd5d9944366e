"""What became of a message after it went out: it arrived (a receiver's receipt), it was opened (its link was followed).

A receipt is proof of the message itself: it stands inside what was sent, encrypted for the browser or signed for the
endpoint, and is handed back in a body. A link holds the message's id and nothing else, and counts only for its
recipient, signed in: what a mail scanner fetches leads to the sign-in page and changes nothing.
"""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.alert import DeliveryKind
from service import base64url, errors
from service.database import Db
from service.keys import tokens
from service.keys.sealing import Sealer

RECEIPT = re.compile(r"neap_receipt_([0-9a-f]{32})_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
PURPOSE = "delivery.receipt"


def receipt_of(master: Sealer, clinic_id: UUID, delivery_id: UUID) -> str:
    """What whoever got this message can hand back: the clinic, the message, and a proof."""
    proof = master.keyed_hash(f"{clinic_id}:{delivery_id}".encode(), purpose=PURPOSE)
    return f"neap_receipt_{clinic_id.hex}_{delivery_id.hex}_{base64url.encode(proof)}"


def read(text: str, master: Sealer) -> tuple[UUID, UUID]:
    """The clinic and the message of a receipt. Raises Unauthenticated for one that is not ours."""
    match = RECEIPT.fullmatch(text)
    if match is None:
        raise errors.Unauthenticated("This receipt is not valid.")
    clinic_id, delivery_id = UUID(hex=match[1]), UUID(hex=match[2])
    if not tokens.same(text, receipt_of(master, clinic_id, delivery_id)):
        raise errors.Unauthenticated("This receipt is not valid.")
    return clinic_id, delivery_id


# It may come before its sender has written down that it went out.
MARK_DELIVERED = """
update delivery
set state = 'delivered',
    delivered_at = $3,
    settled_at = coalesce(settled_at, $3),
    leased_until = null,
    problem = null
where clinic_id = $1
  and (delivery_id = $2 or sent_with = $2)
  and state in ('queued', 'failed', 'sent')
  and attempts > 0
"""


async def mark_delivered(db: Db, delivery_id: UUID, *, now: datetime) -> bool:
    """The message arrived; False where that was known, or it never went out."""
    return await db.execute(MARK_DELIVERED, db.clinic_id, delivery_id, now) > 0


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """What a followed message was about; `several`: it told of others, too."""

    kind: DeliveryKind
    alert_id: UUID | None
    subject_id: UUID | None
    several: bool


MARK_OPENED = """
update delivery
set state = 'opened',
    opened_at = coalesce(opened_at, $4),
    settled_at = coalesce(settled_at, $4),
    leased_until = null,
    problem = null
where clinic_id = $1
  and delivery_id = $2
  and staff_id = $3
  and attempts > 0
returning kind, alert_id, subject_id, false as several
"""
MARK_THE_OTHERS_OPENED = """
update delivery
set state = 'opened',
    opened_at = coalesce(opened_at, $4)
where clinic_id = $1
  and sent_with = $2
  and staff_id = $3
"""


async def mark_opened(db: Db, delivery_id: UUID, *, by: UUID, now: datetime) -> Followed | None:
    """The recipient followed the message's link; None where it is none of theirs."""
    followed = await db.find(Followed, MARK_OPENED, db.clinic_id, delivery_id, by, now)
    others = await db.execute(MARK_THE_OTHERS_OPENED, db.clinic_id, delivery_id, by, now) if followed else 0
    return msgspec.structs.replace(followed, several=others > 0) if followed else None


FIND_OWN = """
select d.kind, d.alert_id, d.subject_id, exists (
    select
    from delivery other
    where other.clinic_id = $1
      and other.sent_with = d.delivery_id
  ) as several
from delivery d
where d.clinic_id = $1
  and d.delivery_id = $2
  and d.staff_id = $3
"""


async def find_own(db: Db, delivery_id: UUID, *, staff_id: UUID) -> Followed | None:
    """What a person's own message is about, without counting it as opened; None where it is none of theirs."""
    return await db.find(Followed, FIND_OWN, db.clinic_id, delivery_id, staff_id)
