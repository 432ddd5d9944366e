"""Make a clinic and its first admin, and print the one-time link with which the admin sets a password.

A clinic that `import` made, where nobody works yet, gets its first admin.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from datetime import UTC, datetime

import msgspec

from schemas.staff import LinkPurpose, Role
from service import database
from service.config import Config
from service.database import Db
from service.errors import Conflict, FieldFault, Invalid
from service.people import audit, clinics, one_time_links, staff
from service.storage import preparing

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
    async with preparing.at_hand(config):
        pool = await database.open_pool(config.database_urls().owner, size=1, application_name="neap_create_clinic")
        async with pool:
            async with database.across_clinics(pool) as connection:
                there = await clinics.find_by_slug(connection, arguments.slug)
            clinic_id = clinics.new_id() if there is None else there.clinic_id
            async with database.transaction(pool, clinic_id) as db:
                if there is None:
                    await clinics.create(
                        db, slug=arguments.slug, name=arguments.name, time_zone=arguments.time_zone, now=now
                    )
                else:
                    await _refuse_staffed(db)
                    print(f"The clinic {there.slug} is there: {there.name}, {there.time_zone}.", file=sys.stderr)
                link = await _first_admin(db, arguments, now=now)
    return f"{_address(config)}{link}"


class _Demonstration(msgspec.Struct):
    base_url: str


def _address(config: Config) -> str:
    """Where the web process answers: a demonstration that runs beside may have found our port taken."""
    record = config.data_dir / "demo.json"
    if config.embedded and record.exists():
        return msgspec.json.decode(record.read_bytes(), type=_Demonstration).base_url
    return config.base_url


LOCK = """
select clinic_id
from clinic
where clinic_id = $1
for no key update
"""


async def _refuse_staffed(db: Db) -> None:
    """Raise Conflict where somebody works at the clinic: only one that `import` made still waits for its first admin.

    Of two first admins at once the second waits here for the first, and is refused.
    """
    await db.execute(LOCK, db.clinic_id)
    if await staff.all_of(db):
        raise Conflict("This slug is taken.")


async def _first_admin(db: Db, arguments: argparse.Namespace, *, now: datetime) -> str:
    admin_id = await staff.add(db, email=arguments.admin_email, name=arguments.admin_name, roles=[Role.ADMIN], now=now)
    await audit.record(db, audit.COMMAND, "clinic.create", now=now, object_id=db.clinic_id)
    return await one_time_links.issue(db, admin_id, LinkPurpose.SET_PASSWORD, now=now)
