"""Restore a base backup and the archived log into a new data folder, up to the last transaction that was archived."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from service.backup import base_backup, restore
from service.backup.base_backup import Backup
from service.config import Config, ConfigError
from service.errors import Invalid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and from which backup."""
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="the new data folder; empty or not there"
    )
    parser.add_argument("--from", dest="backup", type=Path, metavar="FOLDER", help="a base backup; the newest without")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Restore; NEAP_KEY or NEAP_KEY_FILE names the master key, which no backup holds."""
    backup_dir = of_settings(config)
    if config.key is None:
        raise ConfigError("NEAP_KEY or NEAP_KEY_FILE must be set: the master key lies in no backup")
    backup = chosen(arguments.backup, backup_dir)
    to = arguments.to.expanduser().absolute()
    last_commit_at = asyncio.run(restore.into(backup, backup_dir, to, key=config.master_key()))
    until = "the base backup" if last_commit_at is None else f"{last_commit_at:%Y-%m-%d %H:%M:%S} UTC"
    print(f"{to}: restored up to {until}. Start Neap with NEAP_DATA_DIR={to} and, before anything else, a new backup.")
    return 0


def of_settings(config: Config) -> Path:
    """The folder of backups. Raises ConfigError."""
    if config.backup_dir is None:
        raise ConfigError("NEAP_BACKUP_DIR must be set: the folder of base backups and archived log")
    return config.backup_dir


def chosen(folder: Path | None, backup_dir: Path) -> Backup:
    """The backup that was named, or the newest. Raises BackupFault, Invalid where there is none."""
    if folder is not None:
        return base_backup.opened(folder.expanduser().absolute())
    if not (every := base_backup.kept(backup_dir)):
        raise Invalid(
            f"{base_backup.folder_of(backup_dir)} holds no base backup; `python -m service backup` takes one."
        )
    return every[-1]
