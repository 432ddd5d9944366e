"""One web process and one Chromium for all browser tests of a worker: each test brings a clinic of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from service import embedded
from service.database import Pool
from tests.browser import Web, a_web, browser, environment, free_port
from tests.conftest import A_MASTER_KEY, a_database, a_pool


class House(NamedTuple):
    """A running web process, a browser, and the database behind them."""

    web: Web
    chromium: Browser
    owner: Pool

    @property
    def address(self) -> str:
        return self.web.address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(cluster: embedded.Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Started by the worker's first browser test, because starting both takes seconds."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(a_database(cluster))
        env = environment(database, tmp_path_factory.mktemp("data"), A_MASTER_KEY, free_port())
        yield House(
            web=await stack.enter_async_context(a_web(env)),
            chromium=await stack.enter_async_context(browser()),
            owner=await stack.enter_async_context(a_pool(database.owner)),
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desktop_chromium() -> AsyncIterator[Browser]:
    """A Chromium that shows messages and keeps push subscriptions, which the headless shell does not."""
    async with browser(with_windows=True) as started:
        yield started
