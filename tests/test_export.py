"""Exports: what the import takes again, FHIR that its models accept, and who may take what on which ground."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fhir.resources.R4B.bundle import Bundle

from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import clients, consents
from tests.appointments import a_complete_gate, a_given_infusion, a_planned_infusion, a_session_of
from tests.builders import MASTER, a_client, a_clinic, an_answer
from tests.desk import a_person, a_session, an_alert
from tests.web import serving

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "tests" / "data" / "treatment_example.csv"
NOTE = '=Walked away,\n"slowly".'
DAILY = (
    "client,day,craving_alcohol,craving_cocaine,mood,anxiety,infusion,used,note\n"
    "ines,2026-10-05,7,3,4,6,1,none,\n"
    "ines,2026-10-06,5,2,6,,,alcohol;cocaine,A walk by the sea.\n"
    "ines,2026-10-07,,,5,5,,,\n"
    "noor,2026-10-07,4,,6,3,1,,\n"
)


async def ran(settings: Config, *arguments: object) -> subprocess.CompletedProcess[str]:
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("NEAP_")},
        "NEAP_OWNER_DATABASE_URL": settings.owner_database_url or "",
        "NEAP_DATA_DIR": str(settings.data_dir),
        "NEAP_KEY": settings.key or "",
    }
    line = [sys.executable, "-m", "service", *map(str, arguments)]
    return await asyncio.to_thread(subprocess.run, line, env=environ, cwd=ROOT, capture_output=True, text=True)


def table(file: Path, name: str) -> list[dict[str, str]]:
    with zipfile.ZipFile(file) as archive:
        return list(csv.DictReader(io.StringIO(archive.read(f"{name}.csv").decode(), newline="")))


def without_client(rows: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
    """The rows in an order of their own: the other clinic's ids are others."""
    return sorted(sorted((name, cell) for name, cell in row.items() if name != "client") for row in rows)


async def test_what_is_exported_as_tables_is_taken_again_by_the_import_and_exports_the_same(
    settings: Config, tmp_path: Path
) -> None:
    daily = tmp_path / "daily.csv"
    daily.write_text(DAILY)
    for file in (daily, EXAMPLE):
        done = await ran(settings, "import", file, "--clinic", "here", "--source", "one")
        assert done.returncode == 0, done.stderr
    exported = []
    for clinic in ("here", "there"):
        exported.append(tmp_path / f"{clinic}.zip")
        line = ("export", exported[-1], "--clinic", clinic, "--basis", "treatment", "--notes")
        done = await ran(settings, *line)
        assert (done.returncode, done.stdout) == (0, f"2 clients written to {exported[-1]}\n"), done.stderr
        if clinic == "here":
            for name in ("daily", "treatment"):
                with zipfile.ZipFile(exported[0]) as archive:
                    archive.extract(f"{name}.csv", tmp_path / "again")
                again = tmp_path / "again" / f"{name}.csv"
                taken = await ran(settings, "import", again, "--clinic", "there", "--source", "two")
                assert taken.returncode == 0, taken.stderr
    for name, rows in (("daily", 4), ("treatment", 15)):
        here, there = (without_client(table(file, name)) for file in exported)
        assert here == there
        assert len(here) >= rows, here
    told = list(csv.DictReader(io.StringIO(DAILY)))
    come_back = [{name: row[name] for name in told[0] if name != "client"} for row in table(exported[1], "daily")]
    for row in told:
        assert {name: cell for name, cell in row.items() if name not in ("client", "infusion")} in [
            {name: cell for name, cell in each.items() if name != "infusion"} for each in come_back
        ]
    assert {row["note"] for row in table(exported[1], "daily")} == {"", "A walk by the sea."}
    refused = await ran(settings, "export", exported[0], "--clinic", "here", "--basis", "treatment")
    assert refused.returncode == 2
    assert exported[0].stat().st_mode & 0o777 == 0o600


async def a_treated_client(owner: Pool) -> tuple[Clinic, UUID, UUID]:
    """A client with everything that a bundle tells of, and their nurse."""
    clinic, now = await a_clinic(owner), datetime.now(UTC)
    async with database.transaction(owner, clinic.clinic_id) as db:
        client_id, nurse = await a_client(db), await a_person(db, Role.NURSE)
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=now - timedelta(days=9))
        answer = await an_answer(db, client_id, now.date() - timedelta(days=1))
        sealer = await clients.sealer_of(db, MASTER, client_id)
        sealed = sealer.seal(NOTE.encode(), bound_to=f"check_in:{db.clinic_id}:{answer}:note")
        await db.execute("update check_in set note_sealed = $2 where check_in_id = $1", answer, sealed)
        await a_given_infusion(db, client_id)
        await a_complete_gate(db, client_id, await a_planned_infusion(db, client_id), by=nurse)
        await a_session_of(db, client_id)
        alert_id = await an_alert(db, client_id)
        await db.execute(
            "update delivery set state = 'sent', settled_at = now() where alert_id = $1 and staff_id is not null",
            alert_id,
        )
    return clinic, client_id, nurse


async def test_a_bundle_holds_the_client_and_its_own_models_accept_it(settings: Config, owner_pool: Pool) -> None:
    clinic, client_id, nurse = await a_treated_client(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        session = await a_session(db, nurse)
    form = {"format": "fhir", "basis": "consent", "notes": True}
    async with serving(settings) as http:
        reply = await http.post(f"/v1/clients/{client_id}/export", json=form, headers=session.bearer)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/fhir+json"), reply.text
    Bundle.model_validate_json(reply.content)
    found: list[dict[str, Any]] = [entry["resource"] for entry in json.loads(reply.content)["entry"]]
    kinds = Counter(each["resourceType"] for each in found)
    assert set(kinds) == {
        "Patient",
        "Observation",
        "MedicationAdministration",
        "Appointment",
        "CarePlan",
        "Communication",
    }
    assert kinds["Appointment"] == 2
    coded = {each["code"]["coding"][0]["code"]: each for each in found if each["resourceType"] == "Observation"}
    assert coded["mood"]["valueInteger"] == 6
    assert coded["note"]["valueString"] == NOTE
    assert {each["code"]["coding"][0]["code"] for each in coded["85354-9"]["component"]} == {"8480-6", "8462-4"}
    assert len({entry["id"] for entry in found}) == len(found)


@pytest.mark.parametrize("notes", [True, False])
async def test_decisions_at_the_gate_are_exported_and_their_reasons_only_where_words_are_asked_for(
    settings: Config, owner_pool: Pool, notes: bool
) -> None:
    clinic, client_id, nurse = await a_treated_client(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, client_id, hours_ahead=44)
        session = await a_session(db, nurse)
    async with serving(settings) as http:
        gate = f"/v1/infusions/{infusion_id}/gate"
        held = await http.post(f"{gate}/hold", json={"reason": "Slept badly."}, headers=session.bearer)
        assert held.status_code in (200, 201), held.text
        form = {"basis": "consent", "notes": notes}
        replies = [
            await http.post(f"/v1/clients/{client_id}/export", json={**form, "format": each}, headers=session.bearer)
            for each in ("csv", "fhir")
        ]
    with zipfile.ZipFile(io.BytesIO(replies[0].content)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("decisions.csv").decode(), newline="")))
    told = {row["infusion_id"]: row for row in rows}[str(infusion_id)]
    assert (told["decision"], told["decided_by"]) == ("hold", str(nurse))
    assert told["missing"] == "screen;pressure;checklist"
    assert told["reason"] == ("Slept badly." if notes else "")
    Bundle.model_validate_json(replies[1].content)
    found = [entry["resource"] for entry in replies[1].json()["entry"]]
    (decided,) = (each for each in found if each.get("focus") == [{"reference": f"urn:uuid:{infusion_id}"}])
    assert decided["valueCodeableConcept"] == {"text": "hold"}
    assert decided.get("note") == ([{"text": "Slept badly."}] if notes else None)


async def test_what_the_client_said_about_recipients_outside_is_exported_and_the_last_word_is_active(
    settings: Config, owner_pool: Pool
) -> None:
    clinic, client_id, nurse = await a_treated_client(owner_pool)
    now = datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        for days, given in ((3, True), (2, False)):
            await consents.record(db, client_id, given=given, by=nurse, now=now - timedelta(days=days))
        session = await a_session(db, nurse)
    async with serving(settings) as http:
        tables, bundle = [
            await http.post(
                f"/v1/clients/{client_id}/export",
                json={"basis": "client_request", "format": each},
                headers=session.bearer,
            )
            for each in ("csv", "fhir")
        ]
    with zipfile.ZipFile(io.BytesIO(tables.content)) as archive:
        rows = list(csv.DictReader(io.StringIO(archive.read("consents.csv").decode(), newline="")))
    assert [(row["client"], row["given"], row["recorded_by"]) for row in rows] == [
        (str(client_id), given, str(nurse)) for given in ("1", "0")
    ]
    assert datetime.fromisoformat(rows[0]["recorded_at"]) == now - timedelta(days=3)
    Bundle.model_validate_json(bundle.content)
    found = [entry["resource"] for entry in bundle.json()["entry"]]
    told = [(each["status"], each["provision"]["type"]) for each in found if each["resourceType"] == "Consent"]
    assert told == [("inactive", "permit"), ("active", "deny")]


async def test_an_imported_response_is_a_questionnaire_response_and_a_total_in_loinc(
    settings: Config, tmp_path: Path
) -> None:
    await ran(settings, "import", EXAMPLE, "--clinic", "here", "--source", "one")
    file = tmp_path / "here.zip"
    done = await ran(settings, "export", file, "--clinic", "here", "--basis", "treatment", "--format", "fhir")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(file) as archive:
        bundles = [json.loads(archive.read(name)) for name in archive.namelist()]
    assert len(bundles) == 2
    found = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    kinds = Counter(each["resourceType"] for each in found)
    assert kinds["QuestionnaireResponse"] == 2
    assert kinds["Encounter"] == 1
    totals = [each for each in found if each.get("code", {}).get("coding", [{}])[0].get("code") == "44261-6"]
    assert sorted(each["valueQuantity"]["value"] for each in totals) == [4, 12]


async def test_an_export_is_a_disclosure_with_its_ground_and_only_for_the_care_team(
    settings: Config, owner_pool: Pool
) -> None:
    clinic, client_id, nurse = await a_treated_client(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        own = await a_session(db, nurse)
        others = [
            await a_session(db, await a_person(db, role)) for role in (Role.COORDINATOR, Role.PRESCRIBER, Role.ADMIN)
        ]
    async with serving(settings) as http:
        for other in others:
            for address in (f"/v1/clients/{client_id}/export", f"/clients/{client_id}/export"):
                form = {"format": "csv", "basis": "consent"}
                assert (await http.post(address, json=form, headers=other.bearer)).status_code == 404
        page = await http.get(f"/clients/{client_id}/export", headers=own.bearer)
        assert "With the client" in page.text
        address = f"/clients/{client_id}/export"
        groundless = await http.post(address, data={"format": "csv", "basis": ""}, headers=own.bearer)
        assert groundless.status_code == 400
        told = {"format": "csv", "basis": "client_request"}
        taken = await http.post(address, data=told, headers=own.bearer)
    with zipfile.ZipFile(io.BytesIO(taken.content)) as archive:
        assert set(archive.namelist()) == {f"{name}.csv" for name in TABLES}
        assert "Walked" not in archive.read("check_ins.csv").decode()
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        rows = await db.connection.fetch(
            "select actor_id, client_id, reason from audit_event where action = 'client.export'"
        )
    assert [tuple(row) for row in rows] == [(nurse, client_id, "client_request")]


TABLES = ("clients", "daily", "check_ins", "treatment", "decisions", "consents", "planned")


def test_the_web_process_does_not_load_the_fhir_library() -> None:
    loaded = "import sys, service.app; print([name for name in sys.modules if name.startswith(('fhir', 'pydantic'))])"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
