"""Histories that are imported by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from schemas.clinic import Clinic
from service import database
from service.config import Config
from service.database import Pool

ROOT = Path(__file__).parents[1]


async def client_named(pool: Pool, clinic: Clinic, key: str) -> UUID:
    async with database.transaction(pool, clinic.clinic_id) as db:
        found = await db.value(
            "select client_id from client where clinic_id = $1 and source_key = $2", clinic.clinic_id, key
        )
    assert isinstance(found, UUID)
    return found


def command(settings: Config, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("NEAP_")},
        "NEAP_OWNER_DATABASE_URL": settings.owner_database_url or "",
        "NEAP_DATA_DIR": str(settings.data_dir),
        "NEAP_KEY": settings.key or "",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", "service", "import", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
