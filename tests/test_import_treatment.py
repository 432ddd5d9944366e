"""A treatment comes in beside its daily history: whole or not at all, and a second run changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.clinic import Clinic
from schemas.course import PauseReason, Phase, Substance
from schemas.gate import GateState
from schemas.session import CoverageState
from schemas.staff import Role
from service import database, import_history
from service.alerting import alerts
from service.config import Config
from service.database import Pool
from service.facts import course_events, coverage, infusions, instruments, pauses, sessions
from service.gate import read, screens
from service.import_history import file as import_file
from service.import_history import records
from service.import_history.people import Importing
from service.import_history.treatment import RecordCounts
from service.people import clients
from service.tables import BadFile
from tests.builders import MASTER, a_clinic
from tests.desk import a_person, a_session
from tests.importing import client_named, command
from tests.web import serving

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "data" / "treatment_example.csv"
HEADER = (
    "client,record,at,state,given_at,dose_mg_per_kg,reason,until,infusion,panel,positive,decision,instrument,answers"
)
COLUMNS = HEADER.split(",")

# Everything that an import of a treatment may write.
CONTENT = """
select
  (select md5(string_agg(i::text, ',' order by i.infusion_id)) from infusion i where clinic_id = $1),
  (select count(*) from infusion_event where clinic_id = $1),
  (select count(*) from course_event where clinic_id = $1),
  (select count(*) from pause where clinic_id = $1),
  (select count(*) from drug_screen where clinic_id = $1),
  (select count(*) from vital_reading where clinic_id = $1),
  (select count(*) from contraindication_check where clinic_id = $1),
  (select count(*) from gate_check where clinic_id = $1),
  (select count(*) from therapy_session_event where clinic_id = $1),
  (select count(*) from instrument_response where clinic_id = $1),
  (select count(*) from imported_record where clinic_id = $1),
  (select md5(string_agg(t::text, ',' order by t.client_id, t.client_day)) from trend t where clinic_id = $1),
  (select md5(string_agg(f::text, ',' order by f.finding_id)) from finding f where clinic_id = $1),
  (select count(*) from audit_event where clinic_id = $1),
  (select count(*) from check_in where clinic_id = $1),
  (select count(*) from fold_due where clinic_id = $1)
"""


async def bring_in(pool: Pool, path: Path, *, now: datetime = NOW) -> tuple[Clinic, RecordCounts]:
    zone = await import_history.zone_of(pool, "imported")
    treatment = records.read(path, zone=zone, now=now)
    clinic, _ = await import_history.find_or_make_clinic(pool, "imported", now=now)
    importing = Importing(clinic_id=clinic.clinic_id, zone=zone, source="plain", primary=Substance.OTHER, now=now)
    counts = await import_history.bring_in_treatment(
        pool, clinic, MASTER, treatment, importing=importing, done=lambda records: None
    )
    return clinic, counts


async def bring_in_days(pool: Pool, path: Path) -> None:
    history = import_file.read(path, map_name=None, today=NOW.date())
    clinic, _ = await import_history.find_or_make_clinic(pool, "imported", now=NOW)
    await import_history.bring_in(pool, clinic, MASTER, history, source="plain", now=NOW, done=lambda days: None)


def a_treatment(path: Path, *rows: dict[str, str]) -> Path:
    lines = [",".join(row.get(column, "") for column in COLUMNS) for row in rows]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def a_given(**more: str) -> dict[str, str]:
    return {
        "client": "ines", "record": "infusion", "at": "2026-10-05T10:00", "state": "given",
        "given_at": "2026-10-05T10:12", "dose_mg_per_kg": "0.5",
    } | more  # fmt: skip


async def content(pool: Pool, clinic: Clinic) -> Any:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return tuple(await db.connection.fetchrow(CONTENT, clinic.clinic_id) or ())


async def test_everything_that_a_treatment_holds_comes_in(owner_pool: Pool) -> None:
    await a_clinic(owner_pool, slug="imported", now=NOW)
    clinic, counts = await bring_in(owner_pool, EXAMPLE)
    assert (counts.clients, counts.records, counts.new) == (2, 17, 17)
    ines = await client_named(owner_pool, clinic, "ines")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        first, second = await infusions.of(db, ines)
        gates = [await read.of_infusion(db, ines, each.infusion_id, now=NOW) for each in (first, second)]
        held = await sessions.of(db, ines)
        covered = coverage.of([first], held, window_hours=72, now=NOW)
        phases = await course_events.of(db, ines)
        paused = await pauses.of(db, ines)
        responses = await instruments.responses_of(db, ines)
        compared = await screens.read(db, ines, now=NOW)
        found = await alerts.inbox(db, None, closed=True)
    assert (first.dose_mg_per_kg, first.duration_minutes, second.state, second.reason) == (
        0.5,
        40,
        "held",
        "drug_screen",
    )
    assert first.given_at == datetime(2026, 10, 5, 10, 12, tzinfo=ZoneInfo("America/Chicago"))
    assert [each.standing.state for each in gates] == [GateState.CLEAR, GateState.HOLD]
    assert (len(gates[0].records.screens), len(gates[0].records.vitals), len(gates[0].records.checklists)) == (1, 1, 1)
    assert [each.state for each in covered] == [CoverageState.COVERED]
    assert course_events.phase_on(phases, date(2026, 10, 25)) is Phase.INDUCTION
    assert course_events.phase_on(phases, date(2026, 10, 27)) is Phase.MAINTENANCE
    assert [(each.from_on.day, each.until_on, each.reason) for each in paused] == [
        (12, date(2026, 10, 16), PauseReason.TRAVEL)
    ]
    assert [each.total for each in responses] == [12, 4]
    assert len(compared.items) == 2
    # PHQ-9 question 9 in the first response: an urgent alert of history, which nobody is told of.
    assert [(each.tier, each.origin, each.state) for each in found] == [(1, "import", "auto_resolved")]


async def test_a_second_run_changes_nothing_at_all(owner_pool: Pool) -> None:
    clinic, first = await bring_in(owner_pool, EXAMPLE)
    before = await content(owner_pool, clinic)
    _, again = await bring_in(owner_pool, EXAMPLE, now=NOW.replace(hour=15))
    assert (again.new, again.changed, again.unchanged) == (0, 0, first.new)
    assert await content(owner_pool, clinic) == before


async def test_a_changed_record_corrects_what_stands_and_the_history_keeps_both(
    owner_pool: Pool, tmp_path: Path
) -> None:
    session = {"client": "ines", "record": "session", "at": "2026-10-06T15:00", "state": "attended"}
    screen = {
        "client": "ines",
        "record": "screen",
        "at": "2026-10-05T09:00",
        "panel": "cocaine",
        "infusion": "2026-10-05",
    }
    pause = {"client": "ines", "record": "pause", "at": "2026-10-12", "reason": "travel"}
    file = tmp_path / "treatment.csv"
    await bring_in(owner_pool, a_treatment(file, a_given(), session, screen, pause))
    changed = (
        a_given(dose_mg_per_kg="0.7"),
        session | {"state": "cancelled"},
        screen | {"positive": "cocaine"},
        pause | {"until": "2026-10-14"},
    )
    clinic, counts = await bring_in(owner_pool, a_treatment(file, *changed))
    assert (counts.new, counts.changed, counts.unchanged) == (0, 4, 0)
    ines = await client_named(owner_pool, clinic, "ines")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        (infusion,) = await infusions.of(db, ines)
        (held,) = await sessions.of(db, ines)
        events = await sessions.events_of(db, [held.therapy_session_id])
        gate = await read.of_infusion(db, ines, infusion.infusion_id, now=NOW)
        said = [each.until_on for each in await pauses.history_of(db, ines)]
    assert (infusion.dose_mg_per_kg, infusion.version) == (0.7, 3)
    assert [each.state for each in events] == ["attended", "cancelled"]
    assert [each.positive for each in gate.records.screens] == [["cocaine"], []]
    assert gate.records.screens[0].supersedes == gate.records.screens[1].drug_screen_id
    assert said == [None, date(2026, 10, 14)]


async def test_daily_history_and_treatment_in_either_order_tell_of_one_infusion(
    owner_pool: Pool, tmp_path: Path
) -> None:
    days = tmp_path / "days.csv"
    days.write_text("client,day,mood,infusion\nines,2026-10-05,4,1\nines,2026-10-06,5,\n")
    await bring_in_days(owner_pool, days)
    clinic, _ = await bring_in(owner_pool, a_treatment(tmp_path / "treatment.csv", a_given()))
    before = await content(owner_pool, clinic)
    await bring_in_days(owner_pool, days)
    assert await content(owner_pool, clinic) == before
    days.write_text("client,day,mood\nines,2026-10-05,4\nines,2026-10-06,5\n")
    await bring_in_days(owner_pool, days)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        (infusion,) = await infusions.of(db, await client_named(owner_pool, clinic, "ines"))
    assert (infusion.state, infusion.dose_mg_per_kg) == ("given", 0.5)


REFUSED = [
    (a_given(record="infusoin"), "record", "must be one of phase, pause, infusion"),
    (a_given(state="done"), "state", "must be one of given, held, missed, cancelled"),
    (a_given(at="5 October"), "at", "must be a time such as"),
    (a_given(at="2026-12-05T10:00"), "at", "must be 1970-01-01 to now"),
    (a_given(given_at=""), "given_at", "empty; the state given needs it"),
    (a_given(given_at="2026-09-01T10:00"), "given_at", "must be within 7 days of its slot"),
    (a_given(dose_mg_per_kg="7"), "dose_mg_per_kg", "must be at most 3"),
    (a_given(state="missed"), "given_at", "only when it was given"),
    (a_given(panel="cocaine"), "panel", "not taken by the record infusion"),
    (a_given(client=""), "client", "must be 1 to 200"),
    ({"client": "a", "record": "pause", "at": "2026-10-05"}, "reason", "empty; the record pause needs it"),
    ({"client": "a", "record": "pause", "at": "2026-10-05", "reason": "travel", "until": "2026-10-04"}, "until", "not"),
    (
        {"client": "a", "record": "screen", "at": "2026-10-05T09:00", "panel": "cocaine", "positive": "opioid"},
        "positive",
        "only what the panel looks for",
    ),
    (
        {"client": "a", "record": "decision", "at": "2026-10-05T09:00", "infusion": "2026-10-05", "decision": "hold"},
        "reason",
        "empty; the decision hold needs it",
    ),
    (
        {"client": "a", "record": "response", "at": "2026-10-05T09:00", "instrument": "phq9", "answers": "1=two"},
        "answers",
        "must be items and whole numbers such as 1=2;2=0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row", "column", "why"), REFUSED)
def test_a_wrong_cell_is_named_by_line_and_column_and_never_told(
    tmp_path: Path, row: dict[str, str], column: str, why: str
) -> None:
    path = a_treatment(tmp_path / "treatment.csv", a_given(client="other"), row)
    with pytest.raises(BadFile) as refused:
        records.read(path, zone=ZoneInfo("UTC"), now=NOW)
    assert str(refused.value).startswith(f"{path}: line 3, column {column}: {why}")


CONTRADICTING = [
    ({"record": "decision", "at": "2026-10-06T09:00", "infusion": "2026-10-06", "decision": "clear"}, "infusion"),
    ({"record": "response", "at": "2026-10-06T09:00", "instrument": "phq8", "answers": "1=1"}, "instrument"),
    ({"record": "response", "at": "2026-10-06T09:00", "instrument": "phq9", "answers": "1=9"}, "answers"),
]


@pytest.mark.parametrize(("row", "column"), CONTRADICTING)
async def test_a_file_that_contradicts_what_stands_is_not_taken_at_all(
    owner_pool: Pool, tmp_path: Path, row: dict[str, str], column: str
) -> None:
    path = a_treatment(tmp_path / "treatment.csv", a_given(), row | {"client": "ines"})
    with pytest.raises(BadFile, match=f"line 3, column {column}: "):
        await bring_in(owner_pool, path)
    clinic, _ = await import_history.find_or_make_clinic(owner_pool, "imported", now=NOW)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert await db.value("select count(*) from client where clinic_id = $1", clinic.clinic_id) == 0


def test_two_rows_that_say_otherwise_of_one_infusion_are_refused_by_both_lines(tmp_path: Path) -> None:
    path = a_treatment(tmp_path / "treatment.csv", a_given(), a_given(), a_given(at="2026-10-05T11:00"))
    with pytest.raises(BadFile, match="line 4, column at: says otherwise than line 3 of the same infusion"):
        records.read(path, zone=ZoneInfo("UTC"), now=NOW)


def test_the_command_brings_a_treatment_in_and_tells_a_wrong_one_in_one_line(settings: Config, tmp_path: Path) -> None:
    done = command(settings, str(EXAMPLE))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2 clients, 17 records: 17 new, 0 changed, 0 unchanged"
    wrong = command(settings, str(a_treatment(tmp_path / "t.csv", a_given(state="done"))))
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines() == [
        f"neap: {tmp_path / 't.csv'}: line 2, column state: must be one of given, held, missed, cancelled"
    ]


async def test_the_team_reads_an_imported_treatment_like_any_other(settings: Config, owner_pool: Pool) -> None:
    clinic, _ = await bring_in(owner_pool, EXAMPLE)
    ines = await client_named(owner_pool, clinic, "ines")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_person(db, Role.PRESCRIBER)
        await clients.assign(db, ines, person, Role.PRESCRIBER, from_at=NOW)
        reader = await a_session(db, person)
        first, second = await infusions.of(db, ines)
    async with serving(settings) as http:

        async def page(address: str) -> str:
            reply = await http.get(address, headers=reader.cookie)
            assert reply.status_code == 200, reply.text
            return reply.text

        assert "0.5 mg/kg" in await page(f"/clients/{ines}/treatment")
        assert "by the import" in await page(f"/infusions/{first.infusion_id}/gate")
        assert "To be confirmed by the laboratory." in await page(f"/infusions/{second.infusion_id}/gate")
        assert "followed by a session" in await page(f"/clients/{ines}/sessions")
        assert "PHQ-9" in await page(f"/clients/{ines}/instruments")
        for kind in ("therapy", "infusion"):
            await page(f"/clients/{ines}/brief?for={kind}")


def test_the_document_lists_every_kind_of_record_and_column() -> None:
    told = (ROOT / "docs" / "import.md").read_text()
    for name in {*records.SHAPES, *records.COLUMNS}:
        assert f"`{name}`" in told, name
