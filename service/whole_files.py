"""Files that are there whole or as they were: written beside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO


def write(path: Path, put: Callable[[TextIO], object]) -> None:
    """Let `put` write the text of the file at `path` (UTF-8, line ends as they are put). Raises OSError."""
    if path.exists() and not path.is_file():
        _write(path, put)  # a pipe or a device has nothing beside it
        return
    whole = path.resolve()
    beside = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        _write(beside, put)
        beside.replace(whole)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _write(path: Path, put: Callable[[TextIO], object]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        put(out)
