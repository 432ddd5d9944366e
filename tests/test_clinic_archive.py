"""A clinic's archive holds all of its rows, nobody else's, sealed as stored; a changed one is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from service import database
from service.__main__ import main
from service.backup import clinic_archive
from service.commands import archive_clinic
from service.config import Config
from service.database import Pool
from service.errors import Invalid
from tests.builders import a_clinic
from tests.telling import a_story
from tests.treatment import a_treated_client


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
            assert await db.value(f"select count(*) from {name} where clinic_id = $1", db.clinic_id) == kept.rows
    for file in folder.glob("*.csv"):
        assert other not in file.read_text()
    with (folder / "check_in.csv").open(newline="") as lines:
        notes = [row["note_sealed"] for row in csv.DictReader(lines) if row["note_sealed"]]
    assert notes
    assert all(each.startswith("\\x") for each in notes)
    assert clinic_archive.check(folder) == manifest


async def test_what_was_changed_since_is_named(written: tuple[clinic_archive.Manifest, Path, str]) -> None:
    _, folder, _ = written
    file = folder / "check_in.csv"
    kept = file.read_bytes()
    file.write_bytes(kept.replace(b"6", b"7", 1))
    with pytest.raises(Invalid, match=r"check_in\.csv was changed"):
        clinic_archive.check(folder)
    file.write_bytes(kept)
    (folder / "more.csv").touch()
    with pytest.raises(Invalid, match=r"more\.csv is not of this archive"):
        clinic_archive.check(folder)
    (folder / "more.csv").unlink()
    (folder / "alert.csv").unlink()
    with pytest.raises(Invalid, match=r"alert\.csv is missing"):
        clinic_archive.check(folder)


async def test_a_folder_that_is_there_is_not_written_into(
    written: tuple[clinic_archive.Manifest, Path, str], settings: Config
) -> None:
    manifest, folder, _ = written
    with pytest.raises(Invalid, match="is there already"):
        await archive_clinic._write(settings, manifest.slug, folder)
    assert clinic_archive.check(folder) == manifest


def test_the_command_either_writes_or_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["archive-clinic", str(tmp_path / "none"), "--check"]) == 2
    assert "is no archive of a clinic" in capsys.readouterr().err
    assert main(["archive-clinic", str(tmp_path / "none")]) == 2
