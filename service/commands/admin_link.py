"""Print a fresh one-time link with which an admin of a clinic sets a password: the former one was lost or ran out."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime

from schemas.staff import LinkPurpose, Role
from service import database
from service.config import Config
from service.errors import Invalid
from service.people import audit, clinics, one_time_links, staff
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which clinic, and which of its admins."""
    parser.add_argument("--clinic", metavar="SLUG", required=True, help="the clinic's short name")
    parser.add_argument("--admin-email", required=True, help="the admin's address at the clinic")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Print it; it is good for 72 hours, and the former ones are void."""
    print(asyncio.run(_link(arguments.clinic, arguments.admin_email.strip().lower(), config)))
    return 0


async def _link(slug: str, email: str, config: Config) -> str:
    now = datetime.now(UTC)
    async with preparing.at_hand(config):
        pool = await database.open_pool(config.database_url_of("owner"), size=1, application_name="neap_admin_link")
        async with pool:
            async with database.across_clinics(pool) as connection:
                clinic = await clinics.find_by_slug(connection, slug)
            if clinic is None:
                raise Invalid(f"There is no clinic {slug}.")
            async with database.transaction(pool, clinic.clinic_id) as db:
                admins = [
                    each for each in await staff.all_of(db) if Role.ADMIN in each.roles and each.disabled_at is None
                ]
                chosen = next((each for each in admins if each.email == email), None)
                if chosen is None:
                    raise Invalid("No active admin of this clinic has this address.")
                link = await one_time_links.issue(db, chosen.staff_id, LinkPurpose.SET_PASSWORD, now=now)
                await audit.record(db, audit.COMMAND, "staff.reset", now=now, object_id=chosen.staff_id)
    return f"{config.base_url}{link}"
