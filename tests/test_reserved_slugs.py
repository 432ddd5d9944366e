"""A clinic's slug never stands where a page of ours does."""

from __future__ import annotations

import httpx
import pytest

from service import app, config, database, errors
from service.database import Pool
from service.people import clinics
from tests.builders import NOW, a_clinic
from tests.conftest import A_MASTER_KEY


def test_every_first_part_of_an_address_is_reserved() -> None:
    application = app.create(
        config.load({"NEAP_DATABASE_URL": "postgresql://127.0.0.1/nowhere", "NEAP_KEY": A_MASTER_KEY})
    )
    ours = {route.path.split("/")[1] for route in application.routes}
    assert {part for part in ours if part and not part.startswith("{")} <= clinics.RESERVED_SLUGS


@pytest.mark.parametrize("slug", ["link", "v1", "sign-in", "static"])
async def test_a_reserved_slug_is_refused(owner_pool: Pool, slug: str) -> None:
    async with database.transaction(owner_pool, clinics.new_id()) as db:
        with pytest.raises(errors.Invalid):
            await clinics.create(db, slug=slug, name="X (fictional)", time_zone="UTC", now=NOW)


async def test_the_demonstrations_own_clinic_has_its_sign_in_page(http: httpx.AsyncClient, owner_pool: Pool) -> None:
    await a_clinic(owner_pool, slug="demo")
    assert (await http.get("/demo/sign-in")).status_code == 200
