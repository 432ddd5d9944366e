"""Restore a base backup and the archived log into a new data folder, up to the last transaction that was archived.

The exit status is 1 where the log goes on after what came back.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import datetime
from pathlib import Path

from service import embedded
from service.backup import base_backup, restore
from service.backup.base_backup import Backup
from service.config import Config, ConfigError
from service.errors import Invalid
from service.keys.sealing import Sealer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and from which backup."""
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="the new data folder; empty or not there"
    )
    parser.add_argument(
        "--until", type=_moment, metavar="TIME", help="no later than this, such as 2026-11-27T12:00:00Z"
    )
    parser.add_argument("--from", dest="backup", type=Path, metavar="FOLDER", help="a base backup; the newest without")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time") from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} needs its offset, such as 2026-11-27T12:00:00Z")
    return moment


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Restore; NEAP_KEY or NEAP_KEY_FILE names the master key, which no backup holds."""
    backup_dir = of_settings(config)
    if config.key is None:
        raise ConfigError("NEAP_KEY or NEAP_KEY_FILE must be set: the master key lies in no backup")
    backup = chosen(arguments.backup, backup_dir, before=arguments.until)
    to = arguments.to.expanduser().absolute()
    key = config.master_key()
    base_backup.refuse_other_key(backup, Sealer(key))
    restored = asyncio.run(restore.into(backup, backup_dir, to, until=arguments.until))
    embedded.keep_key(to, key)
    at = restored.last_commit_at
    until = "the base backup" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
    print(
        f"{to}: restored up to {until}. Start it with NEAP_DATA_DIR={to}: "
        "`python -m service database`, then `migrate`, then a new backup, then web and jobs."
    )
    if restored.fault is not None:
        print(f"FAULT {restored.fault}")
    return 0 if restored.fault is None else 1


def of_settings(config: Config) -> Path:
    """The folder of backups. Raises ConfigError."""
    if config.backup_dir is None:
        raise ConfigError("NEAP_BACKUP_DIR must be set: the folder of base backups and archived log")
    return config.backup_dir


def chosen(folder: Path | None, backup_dir: Path, *, before: datetime | None = None) -> Backup:
    """The backup that was named, or the newest that was whole `before` a moment. Raises BackupFault, Invalid where
    there is none."""
    if folder is not None:
        return base_backup.opened(folder.expanduser().absolute())
    every = base_backup.kept(backup_dir)
    if before is not None and every:
        every = [each for each in every if each.contents.at < before]
        if not every:
            raise Invalid(f"--until: no base backup in {base_backup.folder_of(backup_dir)} is older")
    if not every:
        raise Invalid(
            f"{base_backup.folder_of(backup_dir)} holds no base backup; `python -m service backup` takes one."
        )
    return every[-1]
