"""Where tests keep databases, and settings for servers that live for a moment."""

from __future__ import annotations

import shutil
from pathlib import Path

MEMORY_BYTES = 4 << 30
# A small server whose data a crash of the machine may take.
QUICK = {"fsync": "off", "max_connections": "10", "shared_buffers": "8MB"}


def in_memory() -> str | None:
    """Linux's folder in memory, where making a database takes half as long; None where it has little room."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > MEMORY_BYTES else None
