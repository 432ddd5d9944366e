"""The gate before an infusion: what is recorded, what it proposes, and what people decided."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.checkin import AwareTime
from schemas.course import InfusionState, Substance


class GateState(StrEnum):
    NOT_DUE = "not_due"
    PENDING = "pending"
    CLEAR = "clear"
    HOLD = "hold"
    OVERRIDDEN = "overridden"


class Decision(StrEnum):
    """What a person decides; `release` takes a hold back."""

    CLEAR = "clear"
    HOLD = "hold"
    RELEASE = "release"
    OVERRIDE = "override"


class Lapse(StrEnum):
    """Why a clearance holds no more."""

    EXPIRED = "expired"
    MOVED = "moved"
    NEW_RECORD = "new_record"


class Missing(StrEnum):
    """What is still to be recorded for the slot."""

    SCREEN = "screen"
    PRESSURE = "pressure"
    CHECKLIST = "checklist"


class Proposal(StrEnum):
    """Why a hold is proposed; a person decides. `held_elsewhere`: another infusion of the client was put on hold at its
    gate, was not given, and nobody has answered that hold at this gate, nor at that of one that was given since."""

    SCREEN_POSITIVE = "screen_positive"
    PRESSURE_ABOVE_LIMIT = "pressure_above_limit"
    CONTRAINDICATION = "contraindication"
    HELD_ELSEWHERE = "held_elsewhere"


class Analyte(StrEnum):
    """What a screen looks for. `alcohol` is ethanol itself, `alcohol_marker` ethyl glucuronide or sulphate."""

    ALCOHOL = "alcohol"
    ALCOHOL_MARKER = "alcohol_marker"
    COCAINE = "cocaine"
    OPIOID = "opioid"
    BENZODIAZEPINE = "benzodiazepine"
    AMPHETAMINE = "amphetamine"
    CANNABIS = "cannabis"
    OTHER = "other"


class ScreenResult(StrEnum):
    """`invalid` could not be read: it counts as missing."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    INVALID = "invalid"


class Confirmation(StrEnum):
    """A presumptive result (an immunoassay) may be a cross-reaction; a confirmed one came from a laboratory."""

    PRESUMPTIVE = "presumptive"
    CONFIRMED = "confirmed"


class Presence(StrEnum):
    """An answer of the list of contraindications; only pregnancy may be `not_applicable`."""

    ABSENT = "absent"
    PRESENT = "present"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class GateSetting(msgspec.Struct, frozen=True, kw_only=True):
    """The clinic's numbers: hours before the slot, hours a clearance lasts, and the pressure (mmHg) that may stand."""

    gate_opens_hours: Annotated[int, Meta(ge=1, le=336)]
    gate_clear_hours: Annotated[int, Meta(ge=1, le=336)]
    gate_warning_hours: Annotated[int, Meta(ge=0, le=336)]
    systolic_limit: Annotated[int, Meta(ge=80, le=250)]
    diastolic_limit: Annotated[int, Meta(ge=40, le=150)]
    therapy_window_hours: Annotated[int, Meta(ge=1, le=720)]


class DrugScreen(msgspec.Struct, frozen=True, kw_only=True):
    """A screen; here as in every record and decision, nobody recorded what came by an import."""

    drug_screen_id: UUID
    client_id: UUID
    infusion_id: UUID | None
    panel: list[Analyte]
    positive: list[Analyte]
    result: ScreenResult
    confirmation: Confirmation
    collected_at: datetime
    recorded_by: UUID | None
    recorded_at: datetime
    supersedes: UUID | None
    entered_in_error: bool


class VitalReading(msgspec.Struct, frozen=True, kw_only=True):
    """Blood pressure in mmHg, pulse in beats a minute; the clinic's limits (mmHg) when it was recorded."""

    vital_reading_id: UUID
    client_id: UUID
    infusion_id: UUID | None
    systolic: int
    diastolic: int
    pulse: int | None
    systolic_limit: int
    diastolic_limit: int
    measured_at: datetime
    recorded_by: UUID | None
    recorded_at: datetime
    supersedes: UUID | None
    entered_in_error: bool


class ContraindicationCheck(msgspec.Struct, frozen=True, kw_only=True):
    contraindication_check_id: UUID
    client_id: UUID
    infusion_id: UUID | None
    unstable_cardiovascular_disease: Presence
    hypertension: Presence
    pregnancy: Presence
    ketamine_allergy: Presence
    raised_intracranial_pressure: Presence
    checked_at: datetime
    recorded_by: UUID | None
    recorded_at: datetime
    supersedes: UUID | None
    entered_in_error: bool


class GateCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as its table holds it; `record_ids` is everything that was recorded for the infusion by then, and what
    else was known of the client and could speak against it: records for other infusions, holds put on them."""

    gate_check_id: UUID
    infusion_id: UUID
    client_id: UUID
    decision: Decision
    reason_sealed: bytes | None
    planned_at: datetime
    decided_by: UUID | None
    decided_at: datetime
    expires_at: datetime | None
    missing: list[Missing]
    proposals: list[Proposal]
    record_ids: list[UUID]


class ScreenForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A screen as it comes in; without `positive` it is negative. `supersedes` names the record that it corrects."""

    panel: Annotated[list[Analyte], Meta(min_length=1, max_length=8)]
    collected_at: AwareTime
    positive: Annotated[list[Analyte], Meta(max_length=8)] = []
    valid: bool = True
    confirmation: Confirmation = Confirmation.PRESUMPTIVE
    supersedes: UUID | None = None


class VitalForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    systolic: Annotated[int, Meta(ge=40, le=300)]
    diastolic: Annotated[int, Meta(ge=20, le=200)]
    measured_at: AwareTime
    pulse: Annotated[int, Meta(ge=20, le=250)] | None = None
    supersedes: UUID | None = None


class ChecklistForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    unstable_cardiovascular_disease: Presence
    hypertension: Presence
    pregnancy: Presence
    ketamine_allergy: Presence
    raised_intracranial_pressure: Presence
    checked_at: AwareTime
    supersedes: UUID | None = None


class DecisionForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reason` is needed for a hold and for an override. `known`: what was looked at, as the gate gave it; an override
    is refused where more is there by now, for its reason speaks of no more than that."""

    reason: Annotated[str, Meta(max_length=2_000)] | None = None
    version: (
        Annotated[
            int,
            Meta(ge=0, description="the gate's version that was looked at; refused where somebody has decided since"),
        ]
        | None
    ) = None
    known: Annotated[list[UUID], Meta(max_length=10_000)] | None = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """The id of what was recorded, and the gate's state now."""

    record_id: UUID
    state: GateState


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, with who, when, why, and until when it holds."""

    gate_check_id: UUID
    decision: Decision
    reason: str | None
    planned_at: datetime
    decided_by: UUID | None
    decided_by_name: str
    decided_at: datetime
    expires_at: datetime | None
    missing: list[Missing]
    proposals: list[Proposal]


class Elsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for a hold and belongs to another infusion, or to none (null, of an import): a record, or a hold that
    somebody put on it; `at`: when the sample was taken, the pressure measured, the list asked, the hold decided.
    """

    proposal: Proposal
    id: UUID
    at: datetime
    infusion_id: UUID | None
    planned_at: datetime | None
    infusion_state: InfusionState | None


class GateLine(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion of a day's list: may it go ahead, and what is open? `version` counts the decisions made,
    `not_sought` are treated substances that the screens on record did not look for, `elsewhere` what of the proposals
    rests on the client's other infusions."""

    infusion_id: UUID
    client_id: UUID
    client: str
    infusion_state: InfusionState
    planned_at: datetime
    given_at: datetime | None
    state: GateState
    version: int
    lapse: Lapse | None
    expires_at: datetime | None
    missing: list[Missing]
    not_sought: list[Substance]
    proposals: list[Proposal]
    elsewhere: list[Elsewhere]


class GateDay(msgspec.Struct, frozen=True, kw_only=True):
    """A clinic day's infusions, in the order of their slots."""

    day: date
    items: list[GateLine]


class GateReply(msgspec.Struct, frozen=True, kw_only=True):
    """The whole gate of one infusion; records newest first, also those that are superseded. `known`: the ids of all
    that a decision made now would rest on, of the client's other infusions, too."""

    line: GateLine
    opens_at: datetime
    setting: GateSetting
    screens: list[DrugScreen]
    vitals: list[VitalReading]
    checklists: list[ContraindicationCheck]
    decisions: list[Decided]
    known: list[UUID]


class Agreement(StrEnum):
    """What was answered beside what a screen found, for one substance within the screen's detection window."""

    AGREE = "agree"
    UNDER_REPORTED = "under_reported"
    OVER_REPORTED = "over_reported"
    NO_DATA = "no_data"


class SubstanceAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """`answers`: check-ins within the window that say whether something was used; null: not on the panel. Of what the
    screen found, `reported` counts what was told shortly before the window and right after the sample, too."""

    substance: Substance
    agreement: Agreement
    positive: bool | None
    reported: bool | None
    answers: int
    window_hours: int | None


class ScreenLine(msgspec.Struct, frozen=True, kw_only=True):
    """A standing screen, and for every substance of the course how it goes with the answers."""

    screen: DrugScreen
    agreement: list[SubstanceAgreement]


class AbstinenceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over the infusions that began, and both shares: say which of them is meant whenever one is shown.

    `occasions` = `negative` + `positive` + `missing`: no screen, or none that looked for all that is treated and found
    nothing of what it looked for. `share_missing_as_positive` divides by all occasions,
    `share_missing_excluded` by those with a screen; null without a divisor.
    """

    occasions: int
    negative: int
    positive: int
    missing: int
    share_missing_as_positive: float | None
    share_missing_excluded: float | None


class ScreensReply(msgspec.Struct, frozen=True, kw_only=True):
    """Screens, the newest first."""

    items: list[ScreenLine]
    abstinence: AbstinenceFigures
