"""A name somebody searched for, as part of an address that nobody but they can read.

No name may stand in an address: it is logged, kept in histories, and shown over shoulders. Yet a search must have an
address, or Back finds nothing. So the words are sealed (AES-256-GCM) for the person who typed them.
"""

from __future__ import annotations

from uuid import UUID

from service import base64url, errors
from service.keys.sealing import Sealer

PURPOSE = "words of a search"


def hide(words: str, master: Sealer, *, clinic_id: UUID, staff_id: UUID) -> str:
    """The words as letters for an address."""
    sealed = _sealer(master).seal(words.encode(), bound_to=_binding(clinic_id, staff_id))
    return base64url.encode(sealed)


def read(hidden: str, master: Sealer, *, clinic_id: UUID, staff_id: UUID) -> str:
    """The words again; none where somebody else hid them, or they were changed on the way."""
    try:
        return _sealer(master).open(base64url.decode(hidden), bound_to=_binding(clinic_id, staff_id)).decode()
    except (ValueError, errors.Invalid):
        return ""


def _sealer(master: Sealer) -> Sealer:
    return Sealer(master.derived_key(purpose=PURPOSE))


def _binding(clinic_id: UUID, staff_id: UUID) -> str:
    return f"search:{clinic_id}:{staff_id}"
