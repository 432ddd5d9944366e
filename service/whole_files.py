"""Files that are there whole or as they were: written beside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from service import errors


def refuse_unwritable(option: str, path: Path) -> None:
    """Raises Invalid, naming the option of a command, where `write` could not begin; leaves nothing behind."""
    try:
        if path.is_dir():
            raise errors.Invalid(f"{option}: {path} is a folder")
        if not path.parent.is_dir():
            raise errors.Invalid(f"{option}: there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            writable = os.access(path, os.W_OK)  # opened, a pipe would wait for its reader
        else:
            beside = _beside(path)
            _write(beside, lambda _: None)
            beside.unlink()
            writable = True
    except OSError as error:
        raise errors.Invalid(f"{option}: {path} cannot be written ({error.strerror})") from error
    if not writable:
        raise errors.Invalid(f"{option}: {path} cannot be written")


def write(path: Path, put: Callable[[TextIO], object]) -> None:
    """Let `put` write the text of the file at `path` (UTF-8, line ends as they are put). Raises OSError."""
    if path.exists() and not path.is_file():
        _write(path, put)  # a pipe or a device has nothing beside it
        return
    beside = _beside(path)
    try:
        _write(beside, put)
        beside.replace(path.resolve())
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    whole = path.resolve()
    return whole.with_name(f".{whole.name}.{os.getpid()}")


def _write(path: Path, put: Callable[[TextIO], object]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        put(out)
