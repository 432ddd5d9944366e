"""A clinic's archive holds all of its rows, nobody else's, sealed as stored; a changed one is refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service import database
from service.__main__ import main
from service.audit_seals import Signer
from service.backup import clinic_archive
from service.commands import archive_clinic
from service.config import Config
from service.database import Pool
from service.errors import Invalid
from service.keys.sealing import Sealer
from tests.builders import a_clinic
from tests.conftest import A_MASTER_KEY
from tests.telling import a_story
from tests.treatment import a_treated_client

PUBLIC = Signer(Sealer(base64.urlsafe_b64decode(A_MASTER_KEY))).public


@pytest.fixture
async def written(settings: Config, owner_pool: Pool, tmp_path: Path) -> tuple[clinic_archive.Manifest, Path, str]:
    """An archive of one of two clinics in both of which somebody is treated; and the other's id."""
    other = await a_clinic(owner_pool, slug="other")
    async with (
        a_treated_client(settings, owner_pool) as here,
        database.transaction(owner_pool, here.clinic.clinic_id) as db,
    ):
        await a_story(db, here.client_id, here.today)
    manifest = await archive_clinic._write(settings, here.clinic.slug, tmp_path / "archive")
    return manifest, tmp_path / "archive", str(other.clinic_id)


async def test_it_holds_every_row_of_the_clinic_and_none_of_another(
    written: tuple[clinic_archive.Manifest, Path, str], owner_pool: Pool
) -> None:
    manifest, folder, other = written
    assert manifest.tables["check_in"].rows > 5
    assert {"client_key", "audit_event", "therapy_session", "clinic"} <= set(manifest.tables)
    async with database.transaction(owner_pool, manifest.clinic_id) as db:
        for name, kept in manifest.tables.items():
            if name == "population_prior":
                continue
            assert await db.value(f"select count(*) from {name} where clinic_id = $1", db.clinic_id) == kept.rows
    for file in folder.glob("*.csv"):
        assert other not in file.read_text()
    with (folder / "check_in.csv").open(newline="") as lines:
        notes = [row["note_sealed"] for row in csv.DictReader(lines) if row["note_sealed"]]
    assert notes
    assert all(each.startswith("\\x") for each in notes)
    assert clinic_archive.check(folder, PUBLIC) == manifest
    async with database.transaction(owner_pool, manifest.clinic_id) as db:
        left = "select actor_kind, object_id from audit_event where clinic_id = $1 and action = 'clinic.archive'"
        assert [tuple(each) for each in await db.connection.fetch(left, db.clinic_id)] == [("command", db.clinic_id)]


async def test_what_was_changed_since_is_named(written: tuple[clinic_archive.Manifest, Path, str]) -> None:
    _, folder, _ = written
    file = folder / "check_in.csv"
    kept = file.read_bytes()
    file.write_bytes(kept.replace(b"6", b"7", 1))
    with pytest.raises(Invalid, match=r"check_in\.csv was changed"):
        clinic_archive.check(folder, PUBLIC)
    file.write_bytes(kept)
    (folder / "more.csv").touch()
    with pytest.raises(Invalid, match=r"more\.csv is not of this archive"):
        clinic_archive.check(folder, PUBLIC)
    (folder / "more.csv").unlink()
    (folder / "alert.csv").unlink()
    with pytest.raises(Invalid, match=r"alert\.csv is missing"):
        clinic_archive.check(folder, PUBLIC)


async def test_a_folder_that_is_there_is_not_written_into(
    written: tuple[clinic_archive.Manifest, Path, str], settings: Config, owner_pool: Pool
) -> None:
    manifest, folder, _ = written
    with pytest.raises(Invalid, match="is there already"):
        await archive_clinic._write(settings, manifest.slug, folder)
    assert clinic_archive.check(folder, PUBLIC) == manifest


def a_slug_edited(said: dict[str, Any], folder: Path) -> None:
    said["slug"] = "other"


def a_row_removed(said: dict[str, Any], folder: Path) -> None:
    lines = (folder / "check_in.csv").read_bytes().splitlines(keepends=True)
    (folder / "check_in.csv").write_bytes(b"".join(lines[:-1]))
    digest = hashlib.sha256((folder / "check_in.csv").read_bytes()).hexdigest()
    said["tables"]["check_in"] = {"rows": said["tables"]["check_in"]["rows"] - 1, "sha256": digest}


def a_table_dropped(said: dict[str, Any], folder: Path) -> None:
    (folder / "check_in.csv").unlink()
    del said["tables"]["check_in"]


def a_table_added(said: dict[str, Any], folder: Path) -> None:
    said["tables"]["../x"] = {"rows": 0, "sha256": ""}


def a_time_edited(said: dict[str, Any], folder: Path) -> None:
    said["at"] = "2020-01-01T00:00:00Z"


def a_word_added(said: dict[str, Any], folder: Path) -> None:
    said["remark"] = "nothing to see"


def signed_by_another(said: dict[str, Any], folder: Path) -> None:
    said["slug"] = "other"
    other = Signer(Sealer(bytes(32)))
    said["public_key"] = base64.b64encode(other.public.public_bytes_raw()).decode()
    said["signature"] = base64.b64encode(other.sign(bytes(32))).decode()


def without_a_signature(said: dict[str, Any], folder: Path) -> None:
    del said["signature"]


@pytest.mark.parametrize(
    "edit",
    [
        a_slug_edited,
        a_row_removed,
        a_table_dropped,
        a_table_added,
        a_time_edited,
        a_word_added,
        signed_by_another,
        without_a_signature,
    ],
)
async def test_a_manifest_that_was_made_to_fit_is_refused(
    written: tuple[clinic_archive.Manifest, Path, str], edit: Callable[[dict[str, Any], Path], None]
) -> None:
    _, folder, _ = written
    said = json.loads((folder / "manifest.json").read_text())
    edit(said, folder)
    (folder / "manifest.json").write_text(json.dumps(said, indent=1) + "\n")
    with pytest.raises(Invalid, match=r"manifest\.json was changed"):
        clinic_archive.check(folder, PUBLIC)


async def test_another_master_key_does_not_vouch_for_it(written: tuple[clinic_archive.Manifest, Path, str]) -> None:
    _, folder, _ = written
    with pytest.raises(Invalid, match="signed under another master key"):
        clinic_archive.check(folder, Signer(Sealer(bytes(32))).public)


async def test_nobody_but_its_owner_reads_it(written: tuple[clinic_archive.Manifest, Path, str]) -> None:
    _, folder, _ = written
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_the_command_either_writes_or_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEAP_KEY", A_MASTER_KEY)
    assert main(["archive-clinic", str(tmp_path / "none"), "--check"]) == 2
    assert "is no archive of a clinic" in capsys.readouterr().err
    assert main(["archive-clinic", str(tmp_path / "none")]) == 2
