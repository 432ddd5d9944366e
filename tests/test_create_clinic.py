"""The first clinic of a real deployment."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.staff import LinkPurpose
from service.config import DatabaseUrls
from service.database import Pool, transaction
from service.errors import Gone
from service.keys import tokens
from service.people import clinics, one_time_links, staff
from tests.builders import a_clinic
from tests.command_line import run_command

ARGUMENTS = (
    ("--slug", "harbour"),
    ("--name", "Harbour Clinic"),
    ("--time-zone", "America/Chicago"),
    ("--admin-email", "Admin@Example.org"),
    ("--admin-name", "A. Admin"),
)


async def create_clinic(database: DatabaseUrls, **changed: str) -> subprocess.CompletedProcess[str]:
    given = dict(ARGUMENTS) | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return await run_command(database, "create-clinic", *(part for pair in given.items() for part in pair))


async def test_create_clinic_prints_a_one_time_link_for_its_admin(database: DatabaseUrls, owner_pool: Pool) -> None:
    done = await create_clinic(database)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:8080/link/neap_link_")
    async with owner_pool.acquire() as connection:
        assert await connection.fetchval("select count(*) from clinic") == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": "x" * 64}, "slug"),
        ({"name": ""}, "1 to 200"),
        ({"name": "x" * 201}, "1 to 200"),
        ({"time_zone": "Mars/Olympus"}, "time zone"),
        ({"admin_email": "nobody"}, "e-mail"),
    ],
)
async def test_bad_argument_is_one_line_and_status_2(
    database: DatabaseUrls, changed: dict[str, str], says: str
) -> None:
    done = await create_clinic(database, **changed)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr.lower()


async def test_a_slug_that_is_taken_is_refused(database: DatabaseUrls) -> None:
    assert (await create_clinic(database)).returncode == 0
    again = await create_clinic(database)
    assert again.returncode == 2
    assert "taken" in again.stderr


async def test_a_clinic_where_nobody_works_yet_gets_its_first_admin_and_only_one(
    database: DatabaseUrls, owner_pool: Pool
) -> None:
    imported = await a_clinic(owner_pool, slug="harbour")
    done = await create_clinic(database)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http://127.0.0.1:8080/link/neap_link_")
    again = await create_clinic(database, admin_email="second@example.org")
    assert (again.returncode, "taken" in again.stderr) == (2, True)
    async with transaction(owner_pool, imported.clinic_id) as db:
        assert [each.email for each in await staff.all_of(db)] == ["admin@example.org"]


async def test_an_admin_whose_link_ran_out_gets_a_fresh_one(database: DatabaseUrls, owner_pool: Pool) -> None:
    first = (await create_clinic(database)).stdout.strip()
    done = await run_command(database, "admin-link", "--clinic", "harbour", "--admin-email", "admin@Example.org")
    assert done.returncode == 0, done.stderr
    fresh = done.stdout.strip()
    assert fresh != first
    now = datetime.now(UTC)
    async with owner_pool.acquire() as connection:
        clinic = await clinics.find_by_slug(connection, "harbour")
    assert clinic is not None
    async with transaction(owner_pool, clinic.clinic_id) as db:
        link = await one_time_links.get(db, tokens.digest_of(fresh.rpartition("/")[2]), now=now)
        assert (link.email, link.purpose) == ("admin@example.org", LinkPurpose.SET_PASSWORD)
        with pytest.raises(Gone):
            await one_time_links.get(db, tokens.digest_of(first.rpartition("/")[2]), now=now)


@pytest.mark.parametrize(("clinic", "email"), [("nowhere", "admin@example.org"), ("harbour", "nobody@example.org")])
async def test_a_link_for_nobody_is_one_line_and_status_2(database: DatabaseUrls, clinic: str, email: str) -> None:
    assert (await create_clinic(database)).returncode == 0
    done = await run_command(database, "admin-link", "--clinic", clinic, "--admin-email", email)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_without_settings_it_is_said_once_that_a_database_is_made_and_where(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    told = []
    for slug in ("first", "second"):
        given = dict(ARGUMENTS) | {"--slug": slug}
        done = subprocess.run(
            [sys.executable, "-m", "service", "create-clinic", *(part for pair in given.items() for part in pair)],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "NEAP_DATA_DIR": str(folder)},
        )
        assert done.stdout.startswith("http://")
        told.append([line for line in done.stderr.splitlines() if "one is made for this machine" in line])
    assert [len(lines) for lines in told] == [1, 0]
    assert str(folder) in told[0][0]
    assert "NEAP_DATABASE_URL" in told[0][0]
