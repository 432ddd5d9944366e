"""Domain errors: what went wrong in Neap's own words; `web.problems` maps each kind to an HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

import msgspec


class FieldFault(msgspec.Struct, frozen=True):
    """One field that was refused: its path ("craving.alcohol") and why, without the refused value."""

    field: str
    message: str


class DomainError(Exception):
    """Something the caller asked for cannot be done; the message is for people and holds no health data."""

    kind: ClassVar[str] = "internal"

    def __init__(self, message: str, *, fields: Sequence[FieldFault] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fields = tuple(fields)


class Invalid(DomainError):
    """The input breaks a rule; `fields` names where."""

    kind = "invalid"


class NotFound(DomainError):
    """It is not there, or not for this person to know of (404, never 403)."""

    kind = "not-found"


class Unauthenticated(DomainError):
    """No credential, or one that is wrong, expired or revoked."""

    kind = "unauthenticated"


class Conflict(DomainError):
    """It contradicts what is stored: an id used again with other content, a state that moved on."""

    kind = "conflict"


class Gone(DomainError):
    """A one-time thing that was spent or ran out."""

    kind = "gone"


class TooLarge(DomainError):
    """More than is taken at once."""

    kind = "too-large"


class TooMany(DomainError):
    """Too often; try again at `retry_at`."""

    kind = "too-many"

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class ConfigError(DomainError):
    """The settings cannot be used; the message names every fault at once."""

    kind = "config"


class NotReady(DomainError):
    """Something this process needs is not in the state to be used: a database that takes no writes, a dead helper."""

    kind = "unavailable"


CONSTRAINTS: dict[str, DomainError] = {
    "check_in_craving_range": Invalid("Craving is out of range.", fields=(FieldFault("craving", "must be 0 to 10"),)),
    "check_in_mood_range": Invalid("Mood is out of range.", fields=(FieldFault("mood", "must be 0 to 10"),)),
    "check_in_anxiety_range": Invalid("Anxiety is out of range.", fields=(FieldFault("anxiety", "must be 0 to 10"),)),
    "alert_open_key": Conflict("Another alert of this client was opened meanwhile: look at that one."),
    "staff_email_key": Conflict("Somebody with this e-mail address works here already."),
    "clinic_slug_key": Conflict("This slug is taken."),
    "clinic_slug_shape": Invalid(
        "The slug may hold up to 63 lower-case letters, digits and hyphens.",
        fields=(FieldFault("slug", "a-z, 0-9 and -"),),
    ),
    "clinic_name_length": Invalid(
        "The clinic's name has 1 to 200 characters.", fields=(FieldFault("name", "1 to 200 characters"),)
    ),
    "staff_name_length": Invalid(
        "A name has 1 to 200 characters.", fields=(FieldFault("name", "1 to 200 characters"),)
    ),
    "client_name_length": Invalid(
        "A given name has 1 to 200 characters, a family name up to 200.",
        fields=(FieldFault("given_name", "1 to 200 characters"), FieldFault("family_name", "up to 200 characters")),
    ),
    "service_account_name_length": Invalid(
        "A name has 1 to 100 characters.", fields=(FieldFault("name", "1 to 100 characters"),)
    ),
    "staff_address_label_length": Invalid(
        "A browser's name has 1 to 100 characters.", fields=(FieldFault("label", "1 to 100 characters"),)
    ),
    "infusion_dose_range": Invalid(
        "The dose is out of range.", fields=(FieldFault("dose_mg_per_kg", "mg per kg, 0.05 to 3"),)
    ),
    "infusion_duration_range": Invalid(
        "The duration is out of range.", fields=(FieldFault("duration_minutes", "5 to 480 minutes"),)
    ),
    "infusion_pkey": Conflict("This id is already in use for another infusion."),
    "schedule_pkey": Conflict("This id is already in use for another plan."),
    "instrument_pkey": Conflict("This version is there already. Other words are another version."),
    "pause_pkey": Conflict("Somebody changed this pause meanwhile, or its id is in use for another."),
    "drug_screen_supersedes_key": Conflict("This record was corrected already; correct the newer one."),
    "vital_reading_supersedes_key": Conflict("This record was corrected already; correct the newer one."),
    "contraindication_check_supersedes_key": Conflict("This record was corrected already; correct the newer one."),
    "calendar_feed_owner_key": Conflict("Another calendar address was made at the same moment. Make it again."),
    "course_substance_one_primary": Conflict("The course already has a primary substance."),
}


def of_constraint(constraint_name: str | None) -> DomainError | None:
    """The domain error that a violated database constraint means, None where the violation is a defect of ours."""
    return CONSTRAINTS.get(constraint_name or "")
