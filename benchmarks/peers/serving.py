"""How peers are served: by uvicorn, with the settings of our own web process."""

from __future__ import annotations

import os
from collections.abc import Callable

import uvicorn

DATABASE_URL = "BENCH_DATABASE_URL"
PORT = "BENCH_PORT"
POOL_SIZE = "BENCH_POOL_SIZE"


def serve(app: Callable[..., object]) -> None:
    """Serve on the port that the environment names until SIGTERM."""
    uvicorn.run(
        app,
        port=int(os.environ[PORT]),
        loop="uvloop",
        http="httptools",
        lifespan="auto",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
    )
