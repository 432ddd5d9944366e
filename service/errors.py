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


class Overtaken(Conflict):
    """Somebody was faster, or something came since the page was opened: the message says what, and who, for people."""


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


def _field(message: str, **wanted: str) -> Invalid:
    return Invalid(message, fields=[FieldFault(name, why) for name, why in wanted.items()])


def _unknown(field: str) -> Invalid:
    return _field("This word is not one of the list.", **{field: "one of the list"})


_CORRECTED = Conflict("This record was corrected already; correct the newer one.")

# What a check or a unique index means whose breaking a person could bring about. The edge and the domain refuse before,
# naming the field as it was written; this is what is said where two requests, or a gap in those, get further.
CONSTRAINTS: dict[str, DomainError] = {
    # check-ins
    "check_in_craving_range": _field("Craving is out of range.", craving="must be 0 to 10"),
    "check_in_mood_range": _field("Mood is out of range.", mood="must be 0 to 10"),
    "check_in_anxiety_range": _field("Anxiety is out of range.", anxiety="must be 0 to 10"),
    "check_in_used_known": _unknown("used"),
    "check_in_kind_known": _unknown("kind"),
    "check_in_pkey": Conflict("This id is already in use for another check-in."),
    "client_pkey": Conflict("Somebody was added from this page already. Look at the caseload, then open it anew."),
    # treatment
    "course_pkey": Conflict("This id is already in use for another course."),
    "course_client_start_key": Conflict("A course of this client starts on that day already."),
    "course_phase_known": _unknown("phase"),
    "course_period": _field("A course ends on its first day or later.", last_day="not before the course began"),
    "course_substance_known": _unknown("substances"),
    "course_substance_period": _field("This day cannot be.", from_on="not before the course began"),
    "course_substance_one_primary": Conflict("The course already has a primary substance."),
    "course_event_phase_known": _unknown("phase"),
    "course_event_substances_known": _unknown("substances"),
    "course_event_reason_known": _unknown("reason"),
    "pause_pkey": Conflict("Somebody changed this pause meanwhile, or its id is in use for another."),
    "pause_period": _field("A pause ends on its first day or later.", until_on="not before the first day"),
    "pause_reason_known": _unknown("reason"),
    "schedule_pkey": Conflict("This id is already in use for another plan."),
    "schedule_template_known": _unknown("template"),
    "schedule_weeks_range": _field("The plan was refused.", weeks="1 to 12"),
    "schedule_boosters_range": _field("The plan was refused.", boosters="1 to 26, every 1 to 26 weeks"),
    "schedule_boosters_have_rhythm": _field("The plan was refused.", boosters="how many, and every how many weeks"),
    "infusion_pkey": Conflict("This id is already in use for another infusion."),
    "infusion_state_known": _unknown("state"),
    "infusion_event_state_known": _unknown("state"),
    "infusion_reason_known": _unknown("reason"),
    "infusion_given_has_time": _field("When was it given?", given_at="needed when it was given"),
    "infusion_dose_of_given": _field("It was not given.", dose_mg_per_kg="only when it was given"),
    "infusion_dose_range": _field("The dose is out of range.", dose_mg_per_kg="mg per kg, 0.05 to 3"),
    "infusion_duration_range": _field("The duration is out of range.", duration_minutes="5 to 480 minutes"),
    "therapy_session_pkey": Conflict("This id is already in use for another session."),
    "therapy_session_minutes_range": _field("The length is out of range.", minutes="5 to 480"),
    "therapy_session_modality_known": _unknown("modality"),
    # the gate
    "drug_screen_pkey": Conflict("This id is already in use for another screen."),
    "drug_screen_supersedes_key": _CORRECTED,
    "drug_screen_panel_known": _field("A screen looks for something.", panel="at least one of the list"),
    "drug_screen_positive_in_panel": _field("The result does not fit the panel.", positive="only what it looks for"),
    "drug_screen_result_fits": _field("The result does not fit.", valid="what cannot be read has no positive"),
    "drug_screen_result_known": _unknown("valid"),
    "drug_screen_confirmation_known": _unknown("confirmation"),
    "vital_reading_supersedes_key": _CORRECTED,
    "vital_reading_systolic_range": _field("The pressure is out of range.", systolic="40 to 300 mmHg"),
    "vital_reading_diastolic_range": _field("The pressure is out of range.", diastolic="20 to 200, below systolic"),
    "vital_reading_pulse_range": _field("The pulse is out of range.", pulse="20 to 250"),
    "contraindication_check_supersedes_key": _CORRECTED,
    "contraindication_check_answers_known": _field("Only pregnancy may not apply.", hypertension="one of the list"),
    "gate_check_reason_given": _field("Say why.", reason="at least one character"),
    "gate_check_clear_is_complete": Conflict("Something is missing or stands against it: it cannot be cleared."),
    # the clinic
    "clinic_slug_key": Conflict("This slug is taken."),
    "clinic_slug_shape": _field(
        "The slug may hold up to 63 lower-case letters, digits and hyphens.", slug="a-z, 0-9 and -"
    ),
    "clinic_name_length": _field("The clinic's name has 1 to 200 characters.", name="1 to 200 characters"),
    "clinic_setting_gate_opens_range": _field("Out of range.", gate_opens_hours="1 to 336 hours"),
    "clinic_setting_gate_clear_range": _field("Out of range.", gate_clear_hours="1 to 336 hours"),
    "clinic_setting_gate_warning_range": _field("Out of range.", gate_warning_hours="0 to gate_opens_hours"),
    "clinic_setting_systolic_limit_range": _field("Out of range.", systolic_limit="80 to 250 mmHg"),
    "clinic_setting_diastolic_limit_range": _field("Out of range.", diastolic_limit="40 to 150 mmHg"),
    "clinic_setting_therapy_window_range": _field("Out of range.", therapy_window_hours="1 to 720 hours"),
    "instrument_pkey": Conflict("This version is there already. Other words are another version."),
    "instrument_code_shape": _field("The code is none.", code="a-z, 0-9 and _, 2 to 32 of them, a letter first"),
    "instrument_version_positive": _field("The version is none.", version="1 or more"),
    "instrument_schedule_phase_known": _unknown("phase"),
    "instrument_schedule_every_range": _field("The rhythm was refused.", every_days="1 to 364"),
    "instrument_schedule_open_range": _field("The rhythm was refused.", open_days="1 to every_days"),
    "instrument_schedule_both_days": _field("The rhythm was refused.", open_days="with every_days, or without"),
    "instrument_response_pkey": Conflict("This id is already in use for another response."),
    "instrument_response_language_shape": _field("The language is none.", language="a code such as es or es-MX"),
    "instrument_response_answers_object": _field("The answers are none.", answers="an object of answers by item"),
    # people
    "client_name_length": _field(
        "A given name has 1 to 200 characters, a family name up to 200.",
        given_name="1 to 200 characters",
        family_name="up to 200 characters",
    ),
    "staff_email_key": Conflict(
        "Somebody with this e-mail address works here already.",
        fields=(FieldFault("email", "of nobody else who works here"),),
    ),
    "staff_name_length": _field("A name has 1 to 200 characters.", name="1 to 200 characters"),
    "staff_address_label_length": _field("A browser's name has 1 to 100 characters.", label="1 to 100 characters"),
    "staff_tempo_known": _unknown("tempo"),
    "staff_first_channel_known": _unknown("first_channel"),
    "staff_quiet_whole": _field("Quiet hours begin and end.", quiet_until="needed with the other, and another time"),
    "cover_period": _field("This cover cannot be arranged.", until_at="later than its beginning"),
    "cover_by_another": _field("This cover cannot be arranged.", covered_by="somebody else"),
    "shift_period": _field("This shift cannot be given.", until_at="later than its beginning"),
    "service_account_name_length": _field("A name has 1 to 100 characters.", name="1 to 100 characters"),
    "service_account_scopes_known": _field("A program may do something.", scopes="at least one of the list"),
    "calendar_feed_owner_key": Conflict("Another calendar address was made at the same moment. Make it again."),
    "phone_push_endpoint_key": Conflict("Another phone took over this browser just now. Please try again."),
    "phone_setting_language_shape": _field("The language is none.", language="a code such as es"),
    "phone_setting_reminder_whole": _field("A reminder needs its zone.", time_zone="needed with remind_time"),
    # alerts
    "alert_open_key": Conflict("Another alert of this client was opened meanwhile: look at that one."),
    "alert_outcome_known": _unknown("outcome"),
    "alert_resolved_has_outcome": _field("What came of it?", outcome="one of the list"),
    "alert_urgent_never_snoozed": Conflict("An urgent alert cannot be put off."),
}


def of_constraint(constraint_name: str | None) -> DomainError | None:
    """The domain error that a violated database constraint means, None where the violation is a defect of ours."""
    return CONSTRAINTS.get(constraint_name or "")
