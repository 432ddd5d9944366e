"""The jobs process, as its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from service.config import Config
from tests.conftest import A_MASTER_KEY

REPOSITORY = Path(__file__).parent.parent


def environment(settings: Config, **more: str) -> Mapping[str, str]:
    """What the process is told: this test's database and nothing of ours."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("NEAP_")}
    return inherited | {
        "NEAP_DATA_DIR": str(settings.data_dir),
        "NEAP_JOBS_DATABASE_URL": settings.database_url_of("jobs"),
        "NEAP_SWEEP_DATABASE_URL": settings.database_url_of("sweep"),
        "NEAP_KEY": A_MASTER_KEY,
        **more,
    }
