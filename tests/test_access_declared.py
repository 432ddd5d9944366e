"""Who may come to a route is said by the route."""

from __future__ import annotations

import pytest
from litestar import Litestar, get

from service import app


def test_a_route_that_declares_no_access_keeps_the_application_from_starting() -> None:
    @get("/forgotten")
    async def forgotten() -> None:
        """Nobody said who may come."""

    with pytest.raises(RuntimeError, match="/forgotten"):
        app.refuse_undeclared(Litestar([forgotten], openapi_config=None))
