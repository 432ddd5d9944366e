"""The web application in the test's own process, spoken to over HTTP without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import httpx
from litestar import Litestar

from service import app
from service.config import Config

# Making an application takes a quarter of a second, most of what a test over HTTP takes; starting it takes nothing.
_idle: list[Litestar] = []


def _application(config: Config) -> Litestar:
    """One that nobody uses right now, told of this configuration."""
    application = _idle.pop() if _idle else app.create(config)
    application.state.config = config
    return application


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Litestar]:
    """The application, started. Its lifespan keeps to one task, as Litestar wants, whichever task ends the test."""
    application, started, ending = _application(config), asyncio.Event(), asyncio.Event()

    async def live() -> None:
        try:
            async with application.lifespan():
                started.set()
                await ending.wait()
        finally:
            started.set()

    task = asyncio.create_task(live())
    await started.wait()
    if task.done():
        await task
    try:
        yield application
    finally:
        ending.set()
        await task
        _idle.append(application)


@asynccontextmanager
async def serving(config: Config) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the started application."""
    async with running(config) as application, client_of(application) as client:
        yield client


def client_of(application: Litestar, *, network: str = "127.0.0.1") -> httpx.AsyncClient:
    """An HTTP client that calls the application, from an address of this network."""
    # httpx and Litestar describe the same protocol by types that do not match each other.
    transport = httpx.ASGITransport(cast("Callable[..., Awaitable[None]]", application), client=(network, 40_000))
    return httpx.AsyncClient(transport=transport, base_url="http://neap.test")
