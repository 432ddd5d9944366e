"""Start the web process: the JSON API and the pages."""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
from datetime import UTC, datetime
from types import FrameType

import uvicorn
from litestar import Litestar

from service import app, database, key_proof, logs
from service.config import Config, ConfigError
from service.keys.sealing import Sealer
from service.storage import roles, schema
from service.web.services import Services

# Phones and load balancers keep connections for a minute or so; closing first costs them a refused request.
KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 10
# Python's 700 newly made objects are two requests under way: it would look for cycles, of which there are hardly any,
# some dozen times a second, and stop for several milliseconds at the larger looks (docs/benchmarks.md).
NEW_OBJECTS_BETWEEN_COLLECTIONS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing: where to listen is a setting."""
    del parser


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Serve until SIGTERM or SIGINT."""
    del arguments
    logs.configure(config.log_format)
    _refuse_missing_settings(config)
    _refuse_taken_address(config)
    application = app.create(config, asyncio.run(_fit_database(config)))
    server = _Server(settings_of(application, config), application)
    # A full garbage collection stops for 40 ms to walk over what was imported, which lives for good: leave it out.
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_BETWEEN_COLLECTIONS)
    server.run()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Tells whoever holds a stream open that it stops; uvicorn itself would wait for them."""

    def __init__(self, settings: uvicorn.Config, application: Litestar) -> None:
        super().__init__(settings)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """As uvicorn does; from a signal's handler, hence by the loop."""
        if "services" in self._application.state:
            services: Services = self._application.state.services
            self._loop.call_soon_threadsafe(services.stopping.set)
        super().handle_exit(sig, frame)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)


def settings_of(application: Litestar, config: Config) -> uvicorn.Config:
    """How the application is served. What a request says of its own origin is believed of the named proxies only."""
    proxies = sorted(config.forwarded_allow_ips)
    return uvicorn.Config(
        application,
        host=config.host,
        port=config.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _refuse_missing_settings(config: Config) -> None:
    """Name what is missing all at once: the database and the master key."""
    faults: list[str] = []
    for needed in (lambda: config.database_url_of("web"), config.master_key):
        try:
            needed()
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(*faults)


def _refuse_taken_address(config: Config) -> None:
    """Raise ConfigError where nobody can listen; uvicorn would tell it in several lines, after all else has begun."""
    fault: OSError | None = None
    try:
        places = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except OSError as error:
        fault, places = error, []
    for family, kind, protocol, _, address in places:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            fault = fault or error
        else:
            return
    why = fault.strerror if fault is not None and fault.strerror else "no such address"
    raise ConfigError(f"NEAP_HOST, NEAP_PORT: nobody can listen there ({why})")


async def _fit_database(config: Config) -> Sealer:
    """What seals and opens everything there. Raises SchemaFault, RoleFault or NotReady: before anybody listens, for
    what goes wrong later uvicorn tells in many lines."""
    pool = await database.open_pool(config.database_url_of("web"), size=1, application_name="neap_web")
    async with pool:
        async with pool.acquire() as connection:
            await schema.refuse_stale(connection)
            await roles.refuse_unbounded(connection)
            await roles.refuse_other(connection, "web")
        return await key_proof.kept(pool, config.master_key(), now=datetime.now(UTC))
