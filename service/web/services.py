"""What the web process holds open for every request: settings, pools, the master key, what it remembers of clinics."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from schemas.crisis import CrisisContact
from service import database, errors, hint, key_proof
from service.config import Config
from service.database import Db, Pool
from service.intake.intake_door import Door
from service.keys.sealing import Sealer
from service.people import clinics
from service.people.clinics import ClinicView
from service.people.passwords import Passwords
from service.web import languages
from service.web.assets import Assets
from service.web.charts.charts import Charts
from service.web.pages import Pages
from service.web.pulse import Pulse

CLINIC_VIEW_SECONDS = 30.0


class ClinicViews:
    """Clinics' settings in memory, at most half a minute old; kept for the crisis card while the database is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._views: dict[UUID, tuple[float, Mapping[str, ClinicView]]] = {}

    async def get(self, clinic_id: UUID, language: str = languages.SOURCE) -> ClinicView:
        """The clinic as every answer to a phone shows it, in one of `languages.names`.

        Raises NotFound, or what the database raises when away.
        """
        if (known := self._fresh(clinic_id)) is None:
            async with database.transaction(self._pool, clinic_id) as db:
                known = await self._read(db)
        return known[language]

    async def get_within(self, db: Db) -> ClinicView:
        """The same inside a transaction of the clinic: whoever holds a connection must not wait for a second one."""
        known = self._fresh(db.clinic_id) or await self._read(db)
        return known[languages.SOURCE]

    async def _read(self, db: Db) -> Mapping[str, ClinicView]:
        view = await clinics.get_view(db)
        spoken = {language: languages.spoken(view, language) for language in languages.names()}
        self._views[db.clinic_id] = (time.monotonic(), spoken)
        return spoken

    def _fresh(self, clinic_id: UUID) -> Mapping[str, ClinicView] | None:
        known = self._views.get(clinic_id)
        return known[1] if known is not None and time.monotonic() - known[0] < CLINIC_VIEW_SECONDS else None

    def crisis(self, clinic_id: UUID | None) -> list[CrisisContact]:
        """The clinic's crisis contacts as last known, the national ones where nothing is known; never fails."""
        known = self._views.get(clinic_id) if clinic_id is not None else None
        return known[1][languages.SOURCE].crisis if known is not None else list(clinics.NATIONAL_CRISIS_CONTACTS)

    def forget(self, clinic_id: UUID) -> None:
        """Read the clinic afresh next time: its settings were changed here."""
        self._views.pop(clinic_id, None)


class Services(msgspec.Struct, frozen=True):
    """Everything a request may use."""

    config: Config
    pool: Pool
    master: Sealer
    views: ClinicViews
    hinter: hint.Hinter
    door: Door
    pages: Pages
    passwords: Passwords
    charts: Charts
    pulse: Pulse
    stopping: asyncio.Event


@functools.cache
def _pages(*, is_demo: bool) -> Pages:
    """The templates, compiled as they are asked for, and the files: both stay as they are while the process runs."""
    return Pages(Assets(), is_demo=is_demo)


@asynccontextmanager
async def opened(config: Config, master: Sealer | None = None) -> AsyncIterator[Services]:
    """Open what the web process holds, and close it again; `master` where the key was proved already.

    Raises NotReady where the key is another's.
    """
    url = config.database_url_of("web")
    pool = await database.open_pool(url, size=config.web_pool_size, application_name="neap_web")
    charts = Charts()
    try:
        master = master or await key_proof.kept(pool, config.master_key(), now=datetime.now(UTC))
        async with hint.hinting(url) as hinter:
            yield Services(
                config=config,
                pool=pool,
                master=master,
                views=ClinicViews(pool),
                hinter=hinter,
                door=Door(pool, master),
                pages=_pages(is_demo=config.demo),
                passwords=Passwords(),
                charts=charts,
                pulse=Pulse(pool),
                stopping=asyncio.Event(),
            )
    finally:
        await charts.close()
        await pool.close()


async def ready(services: Services) -> None:
    """Return when check-ins would be stored now. Raises NotReady or the database's error."""
    await services.pulse.refuse_unready()
    record = services.config.demo_record
    if record is not None and not record.exists():
        raise errors.NotReady("The demonstration is not complete yet.")
