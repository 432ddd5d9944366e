"""Make a clinic and its first admin, and print the one-time link with which the admin sets a password."""

from __future__ import annotations

import argparse
import asyncio
import re
from datetime import UTC, datetime

from schemas.staff import LinkPurpose, Role
from service import database, storage
from service.config import Config
from service.errors import FieldFault, Invalid
from service.people import audit, clinics, one_time_links, staff

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who the clinic is, and who runs it."""
    parser.add_argument("--slug", required=True, help="short name in addresses: a-z, 0-9 and hyphens")
    parser.add_argument("--name", required=True, help="the clinic's full name")
    parser.add_argument("--time-zone", required=True, help="IANA name, such as America/Chicago")
    parser.add_argument("--admin-email", required=True, help="where the first admin is reached")
    parser.add_argument("--admin-name", required=True, help="the first admin's name")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Make them; the link is printed once and is good for 72 hours."""
    if not EMAIL.fullmatch(arguments.admin_email):
        raise Invalid("The admin's e-mail address is not one.", fields=(FieldFault("admin-email", "name@host"),))
    print(asyncio.run(_create(arguments, config)))
    return 0


async def _create(arguments: argparse.Namespace, config: Config) -> str:
    now = datetime.now(UTC)
    async with storage.at_hand(config):
        pool = await database.open_pool(config.database_urls().owner, size=1, application_name="neap_create_clinic")
        async with pool, database.transaction(pool, clinics.new_id()) as db:
            await clinics.create(db, slug=arguments.slug, name=arguments.name, time_zone=arguments.time_zone, now=now)
            admin_id = await staff.add(
                db, email=arguments.admin_email, name=arguments.admin_name, roles=[Role.ADMIN], now=now
            )
            await audit.record(db, audit.COMMAND, "clinic.create", now=now, object_id=db.clinic_id)
            link = await one_time_links.issue(db, admin_id, LinkPurpose.SET_PASSWORD, now=now)
    return f"{config.base_url}{link}"
