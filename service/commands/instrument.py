"""Bring a clinic's own instrument in from its data file; the same file again changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from schemas.instrument import Instrument
from service import database, errors, instrument_settings
from service.config import Config
from service.people import audit, clinics
from service.storage import preparing
from service.web import strict

REFUSED_STATUS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and whose instrument it is."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a TOML file as docs/instruments.md describes it")
    parser.add_argument("--clinic", metavar="SLUG", required=True, help="the clinic that may use it")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Bring it in; 2 where the file is refused, every fault named by its path."""
    try:
        raw = instrument_settings.json_of(arguments.file.read_bytes())
        instrument = strict.decode(raw, Instrument)
        first_time = asyncio.run(_add(config, instrument, slug=arguments.clinic))
    except OSError as error:
        print(f"neap: {arguments.file}: {error.strerror}", file=sys.stderr)
        return REFUSED_STATUS
    except errors.DomainError as error:
        print(f"neap: {arguments.file}: {error}", file=sys.stderr)
        for fault in error.fields:
            print(f"  {fault.field}: {fault.message}", file=sys.stderr)
        return REFUSED_STATUS
    said = f"{instrument.title}, version {instrument.version}, {len(instrument.items)} items"
    print(f"{said}: {'asked from today on' if first_time else 'it was there already'}")
    return 0


async def _add(config: Config, instrument: Instrument, *, slug: str) -> bool:
    async with preparing.at_hand(config):
        url = config.database_url_of("owner")
        pool = await database.open_pool(url, size=1, application_name="neap_instrument")
        async with pool:
            async with database.across_clinics(pool) as connection:
                clinic = await clinics.find_by_slug(connection, slug)
            if clinic is None:
                raise errors.NotFound(f"There is no clinic {slug}.")
            async with database.transaction(pool, clinic.clinic_id) as db:
                return await instrument_settings.add(db, instrument, by=audit.COMMAND, now=datetime.now(UTC))
