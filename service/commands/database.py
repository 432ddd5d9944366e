"""Run the embedded PostgreSQL of the data folder until SIGTERM or Ctrl-C; web and jobs use it as they use any other.

Nothing is migrated: the one line it prints says where the server listens, and whether `migrate` has something to do.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

import asyncpg

from service import embedded, logs
from service.config import Config
from service.errors import Conflict
from service.storage import schema

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ENDED_STATUS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing: where it keeps its files is a setting."""
    del parser


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Run it; 0 once it was told to stop and did, 1 where it ended by itself."""
    del arguments
    embedded.refuse_another(config, "this runs the embedded server only")
    logs.configure(config.log_format)
    return asyncio.run(_until_told(config))


async def _until_told(config: Config) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, told.set)
    serving = asyncio.create_task(_serve(config))
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, stopping):
        task.cancel()
    await asyncio.wait({serving, stopping})
    if not serving.cancelled():
        serving.result()
        print(f"neap: PostgreSQL ended by itself; {config.data_dir / 'postgres.log'} says why", file=sys.stderr)
        return ENDED_STATUS
    return 0


async def _serve(config: Config) -> None:
    """Have it run until cancelled, or until it ends. Raises Conflict where somebody else runs it."""
    async with embedded.running(config) as cluster:
        place = f"PostgreSQL at {cluster.host}:{cluster.port} over {cluster.data_dir}"
        if not cluster.started_by_us:
            raise Conflict(f"{place} runs already (process {cluster.pid}); whoever started it stops it")
        print(f"{place}; {await _state(config)}", flush=True)
        await embedded.ended(cluster.pid)


async def _state(config: Config) -> str:
    """What a web process would find."""
    try:
        connection = await asyncpg.connect(config.database_url_of("web"))
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError):
        # A new folder, or a restored one: its passwords are not those of the server that was backed up.
        return "roles, passwords and schema are still to be made; run `python -m service migrate`"
    try:
        await schema.refuse_stale(connection)
    except schema.SchemaFault as fault:
        return str(fault)
    finally:
        await connection.close()
    return "the schema is current"
