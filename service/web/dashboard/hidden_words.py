"""A name somebody searched for, as part of an address that nobody but they can read.

No name may stand in an address: it is logged, kept in histories, and shown over shoulders. Yet a search must have an
address, or Back finds nothing. So the words are sealed (AES-256-GCM) for the person who typed them.
"""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from service import errors
from service.keys.sealing import Sealer

PURPOSE = "words of a search"


def hide(words: str, master: Sealer, *, clinic_id: UUID, staff_id: UUID) -> str:
    """The words as letters for an address."""
    sealed = _sealer(master).seal(words.encode(), bound_to=_binding(clinic_id, staff_id))
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def read(hidden: str, master: Sealer, *, clinic_id: UUID, staff_id: UUID) -> str:
    """The words again; none where somebody else hid them, or they were changed on the way."""
    try:
        sealed = base64.urlsafe_b64decode(hidden + "=" * (-len(hidden) % 4))
        return _sealer(master).open(sealed, bound_to=_binding(clinic_id, staff_id)).decode()
    except (binascii.Error, ValueError, errors.Invalid):
        return ""


def _sealer(master: Sealer) -> Sealer:
    return Sealer(master.derived_key(purpose=PURPOSE))


def _binding(clinic_id: UUID, staff_id: UUID) -> str:
    return f"search:{clinic_id}:{staff_id}"
