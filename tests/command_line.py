"""The program's commands, run as a process of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from service.config import DatabaseUrls
from tests.conftest import A_MASTER_KEY


def environment(database: DatabaseUrls) -> dict[str, str]:
    """What a command is told of this test's database."""
    return {
        "PATH": os.environ["PATH"],
        "NEAP_KEY": A_MASTER_KEY,
        **{f"NEAP_{role.upper()}_DATABASE_URL": getattr(database, role) for role in database.__struct_fields__},
    }


async def run_command(database: DatabaseUrls, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(database),
    )
