"""Forms that come back once with what is odd about them, and go through where whoever sent them says it is meant so."""

from __future__ import annotations

from collections.abc import Mapping

from service import errors

# The box that a form shows once it was asked about. It says what it was asked: ticked for one time it is for no other.
MEANT = "meant"


def ask(form: Mapping[str, str], doubts: str, *, beside: str) -> None:
    """Have the form come back with its doubts, unless whoever sent it says that just this is meant.

    The words stand `beside` a field of this name. Raises Invalid.
    """
    if not doubts or form.get(MEANT) == doubts:
        return
    faults = [errors.FieldFault(beside, doubts)]
    if beside != MEANT:
        faults.append(errors.FieldFault(MEANT, "If it is meant so, say it:"))
    raise errors.Invalid("Please look at the time once more.", fields=tuple(faults))
