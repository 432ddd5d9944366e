"""Reading a history of treatment: what was given, checked, decided, held and answered, a row a record.

A file is taken whole or not at all: an infusion without its gate would tell another story than the source does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from schemas.course import ChangeReason, DischargeReason, Modality
from schemas.gate import Analyte, Confirmation, Presence
from schemas.treatment import Dose, Duration
from service import plain_words, tables
from service.import_history.file import CLIENT_CHARACTERS, EARLIEST
from service.tables import BadFile

CLIENT, RECORD, AT = "client", "record", "at"
# As the API has it: further away, one of the two is a slip.
FURTHEST_FROM_SLOT_DAYS = 7
BETWEEN = re.compile(r"[\s;,|+]+")
LISTS, FLAGS = frozenset({"panel", "positive"}), frozenset({"readable"})
# msgspec quotes the refused value in these messages, and every message ends with where the value stood.
REASON_CHARACTERS = 2_000

PastInfusion = Literal["given", "held", "missed", "cancelled"]
PastSession = Literal["attended", "missed", "cancelled"]


class RecordRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record"):
    """What every row is beside its client: a record of a kind, at a day or time."""


class PhaseRow(RecordRow, frozen=True, tag="phase"):
    """The phase that the course was in from a day on."""

    at: date
    phase: Literal["induction", "maintenance"]


class PauseRow(RecordRow, frozen=True, tag="pause"):
    """Days, both inclusive, on which the client paused; without `until` to the end of the course."""

    at: date
    reason: Literal["travel", "inpatient", "own_wish", "left_monitoring", "other"]
    until: date | None = None


class InfusionRow(RecordRow, frozen=True, tag="infusion"):
    """An infusion by its slot, what became of it, and what was recorded of one that was given."""

    at: datetime
    state: PastInfusion
    given_at: datetime | None = None
    dose_mg_per_kg: Dose | None = None
    duration_minutes: Duration | None = None
    reason: ChangeReason | None = None


class ScreenRow(RecordRow, frozen=True, tag="screen"):
    """A drug screen by when the sample was taken; `infusion`: the day of the one it was taken for."""

    at: datetime
    panel: Annotated[list[Analyte], Meta(min_length=1)]
    positive: list[Analyte] = []
    readable: bool = True
    confirmation: Confirmation = Confirmation.PRESUMPTIVE
    infusion: date | None = None


class PressureRow(RecordRow, frozen=True, tag="pressure"):
    """Blood pressure (mmHg) and pulse by when they were measured."""

    at: datetime
    systolic: Annotated[int, Meta(ge=40, le=300)]
    diastolic: Annotated[int, Meta(ge=20, le=200)]
    pulse: Annotated[int, Meta(ge=20, le=250)] | None = None
    infusion: date | None = None


class ListRow(RecordRow, frozen=True, tag="contraindications"):
    """The list of contraindications by when it was gone through."""

    at: datetime
    unstable_cardiovascular_disease: Literal["absent", "present", "unknown"]
    hypertension: Literal["absent", "present", "unknown"]
    pregnancy: Presence
    ketamine_allergy: Literal["absent", "present", "unknown"]
    raised_intracranial_pressure: Literal["absent", "present", "unknown"]
    infusion: date | None = None


class DecisionRow(RecordRow, frozen=True, tag="decision"):
    """What was decided at the gate of the infusion of a day; a hold and an override have a reason in words."""

    at: datetime
    infusion: date
    decision: Literal["clear", "hold", "release", "override"]
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS)] | None = None


class SessionRow(RecordRow, frozen=True, tag="session"):
    """A therapy session by its time, and what became of it."""

    at: datetime
    state: PastSession
    modality: Modality = Modality.OTHER
    duration_minutes: Duration = 50


class ResponseRow(RecordRow, frozen=True, tag="response"):
    """What was answered to an instrument, item by item: "1=2;2=0"."""

    at: datetime
    instrument: str
    answers: Annotated[dict[str, int], Meta(min_length=1)]
    version: Annotated[int, Meta(ge=1, le=9_999)] = 1


class DischargeRow(RecordRow, frozen=True, tag="discharge"):
    """That the client was discharged, and why."""

    at: date
    reason: DischargeReason | None = None


Row = (
    PhaseRow
    | PauseRow
    | InfusionRow
    | ScreenRow
    | PressureRow
    | ListRow
    | DecisionRow
    | SessionRow
    | ResponseRow
    | DischargeRow
)
SHAPES: Mapping[str, type[RecordRow]] = MappingProxyType(
    {
        "phase": PhaseRow,
        "pause": PauseRow,
        "infusion": InfusionRow,
        "screen": ScreenRow,
        "pressure": PressureRow,
        "contraindications": ListRow,
        "decision": DecisionRow,
        "session": SessionRow,
        "response": ResponseRow,
        "discharge": DischargeRow,
    }
)
"""Kind → its columns, in the order in which they are brought in: what others rest on comes first."""

COLUMNS = {field for shape in SHAPES.values() for field in shape.__struct_fields__} | {CLIENT, RECORD}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the file: whose it is, where it stands, and what it says; `key` names it among the client's."""

    client: str
    line: int
    kind: str
    key: str
    row: Row


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """A file's records in the order in which they are to be brought in, by client; rows said twice count apart."""

    path: Path
    records: list[Record]
    repeated: int

    def refusal(self, record: Record, column: str, why: str) -> BadFile:
        """That a record cannot be taken, as one line that names file, line and column."""
        return BadFile(self.path, record.line, column, why)


def recognises(path: Path) -> bool:
    """Whether a file's first line names the columns of a treatment. Raises BadFile for one that cannot be read."""
    return {CLIENT, RECORD, AT} <= {name.strip() for name in next(tables.rows_of(path), (1, []))[1]}


def read(path: Path, *, zone: ZoneInfo, now: datetime) -> Treatment:
    """Read a whole file, times without an offset on the clock of `zone`.

    Raises BadFile naming line and column of the first fault, never the cell's content.
    """
    rows = tables.rows_of(path)
    header = tables.header_of(path, rows)
    _check_header(path, header)
    records = []
    for line, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise BadFile(path, line, "-", f"{len(cells)} cells under {len(header)} columns")
        named = zip(header, (cell.strip() for cell in cells), strict=True)
        records.append(_record(path, line, {name: cell for name, cell in named if cell}, zone, now))
    return _in_order(path, records)


def _check_header(path: Path, header: Sequence[str]) -> None:
    for position, name in enumerate(header):
        if name in header[:position]:
            raise BadFile(path, 1, name or f"number {position + 1}", "named twice")
        if name not in COLUMNS:
            raise BadFile(path, 1, name or f"number {position + 1}", "unknown column of a treatment")


def _record(path: Path, line: int, cells: dict[str, str], zone: ZoneInfo, now: datetime) -> Record:
    client, kind = cells.pop(CLIENT, ""), cells.pop(RECORD, "")
    if not client or len(client) > CLIENT_CHARACTERS or not client.isprintable():
        raise BadFile(path, line, CLIENT, f"must be 1 to {CLIENT_CHARACTERS} printable characters")
    shape = SHAPES.get(kind)
    if shape is None:
        raise BadFile(path, line, RECORD, f"must be one of {', '.join(SHAPES)}")
    kinds = get_type_hints(shape, include_extras=True)
    for name in cells:
        if name not in kinds:
            raise BadFile(path, line, name, f"not taken by the record {kind}")
    needed = [each.name for each in msgspec.structs.fields(shape) if each.required and each.name not in cells]
    if needed:
        raise BadFile(path, line, needed[0], f"empty; the record {kind} needs it")
    values: dict[str, object] = {}
    for name, text in cells.items():
        try:
            values[name] = msgspec.convert(_parsed(name, text, kinds[name], zone), kinds[name], strict=False)
        except (ValueError, OverflowError) as error:
            raise BadFile(path, line, name, _why(kinds[name], error)) from error
    row = msgspec.convert({RECORD: kind, **values}, Row)
    _refuse_odd(path, line, row, zone, now)
    return Record(client=client, line=line, kind=kind, key=_key(row, zone), row=row)


def _parsed(name: str, text: str, kind: object, zone: ZoneInfo) -> object:
    """A cell as its column means it. Raises ValueError where it is nothing of the kind."""
    if name in LISTS:
        return [each for each in BETWEEN.split(text) if each]
    if name in FLAGS:
        return {"0": False, "1": True}.get(text, text)
    if name == "answers":
        pairs = [each.partition("=") for each in BETWEEN.split(text) if each]
        if len({code for code, _, _ in pairs}) != len(pairs):
            raise ValueError("an item is answered twice")
        return {code: int(value) for code, _, value in pairs}
    if _holds(kind, datetime):
        moment = datetime.fromisoformat(text)
        if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]", text):
            raise ValueError("a day without a time")
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    if _holds(kind, date):
        if not tables.ISO_DAY.fullmatch(text):
            raise ValueError("no day")
        return date.fromisoformat(text)
    return text


def _holds(kind: object, wanted: type) -> bool:
    parts = get_args(kind) if get_origin(kind) in (Annotated, Union, UnionType) else ()
    return kind is wanted or any(_holds(part, wanted) for part in parts)


def _why(kind: object, error: Exception) -> str:
    """What a column may hold, in words; the cell itself is not told."""
    if _holds(kind, datetime):
        return "must be a time such as 2026-11-22T10:00, with an offset or on the clinic's clock"
    if _holds(kind, date):
        return "must be a date such as 2026-11-22"
    if words := _words_of(kind):
        return f"must be one of {', '.join(words)}"
    if isinstance(error, msgspec.ValidationError):
        return plain_words.why_refused(error)
    return "must be items and whole numbers such as 1=2;2=0"


def _words_of(kind: object) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return list(kind)
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if get_origin(kind) is dict:
        return []
    return [word for part in get_args(kind) for word in _words_of(part)]


def _date_of(at: datetime | date) -> date:
    return at.date() if isinstance(at, datetime) else at


def day_of(row: Row, zone: ZoneInfo) -> date:
    """The day of the clinic's calendar on which a record lies."""
    return row.at.astimezone(zone).date() if isinstance(row.at, datetime) else row.at


def _key(row: Row, zone: ZoneInfo) -> str:
    """What makes a record the same one in another file: nobody has two infusions on one day."""
    match row:
        case InfusionRow():
            return day_of(row, zone).isoformat()
        case DecisionRow():
            return f"{row.infusion.isoformat()} {row.at.isoformat()}"
        case ResponseRow():
            return f"{row.instrument} {row.at.isoformat()}"
        case DischargeRow():
            return "-"
        case _:
            return row.at.isoformat()


def _refuse_odd(path: Path, line: int, row: Row, zone: ZoneInfo, now: datetime) -> None:
    """Raises BadFile for what no column can say by itself."""
    last = now.astimezone(zone).date()
    if not EARLIEST <= day_of(row, zone) <= last or (isinstance(row.at, datetime) and row.at > now):
        raise BadFile(path, line, AT, f"must be {EARLIEST} to now")
    if fault := _fault_of(row, now):
        raise BadFile(path, line, *fault)


def _fault_of(row: Row, now: datetime) -> tuple[str, str] | None:
    match row:
        case InfusionRow():
            return _fault_of_infusion(row, now)
        case PauseRow(until=until) if until is not None and until < row.at:
            return "until", "not before the first day"
        case ScreenRow() if not set(row.positive) <= set(row.panel):
            return "positive", "only what the panel looks for"
        case ScreenRow(readable=False) if row.positive:
            return "readable", "a result that could not be read has no positive"
        case PressureRow() if row.diastolic >= row.systolic:
            return "diastolic", "lower than the systolic pressure"
        case DecisionRow(decision="hold" | "override", reason=None):
            return "reason", f"empty; the decision {row.decision} needs it"
    return None


def _fault_of_infusion(row: InfusionRow, now: datetime) -> tuple[str, str] | None:
    if row.state == "given":
        if row.given_at is None:
            return "given_at", "empty; the state given needs it"
        if row.given_at > now:
            return "given_at", f"must be {EARLIEST} to now"
        if abs((row.given_at.date() - _date_of(row.at)).days) > FURTHEST_FROM_SLOT_DAYS:
            return "given_at", f"must be within {FURTHEST_FROM_SLOT_DAYS} days of its slot"
        return None
    told = (
        ("given_at", row.given_at),
        ("dose_mg_per_kg", row.dose_mg_per_kg),
        ("duration_minutes", row.duration_minutes),
    )
    return next(((name, "only when it was given") for name, value in told if value is not None), None)


def _in_order(path: Path, records: list[Record]) -> Treatment:
    """By client, then what others rest on first. Raises BadFile where two rows say different things of one record."""
    rank = {kind: position for position, kind in enumerate(SHAPES)}
    ordered = sorted(records, key=lambda each: (each.client, rank[each.kind], each.key, each.line))
    kept, repeated = ordered[:1], 0
    for before, each in pairwise(ordered):
        if (before.client, before.kind, before.key) != (each.client, each.kind, each.key):
            kept.append(each)
        elif before.row == each.row:
            repeated += 1
        else:
            raise BadFile(path, each.line, AT, f"says otherwise than line {before.line} of the same {each.kind}")
    return Treatment(path=path, records=kept, repeated=repeated)
