"""How a visitor gets into the demonstration: one-time links, enrolment codes, and demo.json, which holds them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from schemas.staff import LinkPurpose
from service import database
from service.database import Pool
from service.demo import clinic as demo_clinic
from service.demo.clinic import DemoClinic
from service.demo.people import PEOPLE, VISITED_ADMIN, VISITED_NURSE, VISITED_THERAPIST
from service.people import devices, one_time_links


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where it listens."""

    port: int
    base_url: str


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where a visitor walks in; each link works once."""

    therapist: str
    nurse: str
    client: str
    admin: str


class EnrolmentCode(msgspec.Struct, frozen=True, kw_only=True):
    clinic: str
    code: str


class Pids(msgspec.Struct, frozen=True, kw_only=True):
    postgres: int | None
    web: int | None
    jobs: int | None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What demo.json says while the demonstration runs."""

    base_url: str
    database_url: str
    links: Links
    enrolment_codes: list[EnrolmentCode]
    pids: Pids


async def let_in(pool: Pool, demo: DemoClinic, place: Place, owner_url: str, pids: Pids, *, now: datetime) -> Running:
    """One-time links for a visitor, and codes for clients whom no simulated phone answers for."""
    async with database.transaction(pool, demo.clinic.clinic_id) as db:
        found = [await demo_clinic.find_client(db, person) for person in PEOPLE if person.visitor]
        codes = [(await devices.issue_code(db, each, by=None, now=now)).code for each in found if each is not None]
        links = {
            key: await one_time_links.issue(db, demo.staff_ids[key], LinkPurpose.DEMO_SIGN_IN, now=now)
            for key in (VISITED_THERAPIST, VISITED_NURSE, VISITED_ADMIN)
        }
    slug = demo.clinic.slug
    return Running(
        base_url=place.base_url,
        database_url=owner_url,
        links=Links(
            therapist=place.base_url + links[VISITED_THERAPIST],
            nurse=place.base_url + links[VISITED_NURSE],
            client=f"{place.base_url}/phone/{slug}#{codes[0]}",
            admin=place.base_url + links[VISITED_ADMIN],
        ),
        enrolment_codes=[EnrolmentCode(clinic=slug, code=code) for code in codes[1:]],
        pids=pids,
    )


def write(file: Path, running: Running) -> None:
    unfinished = file.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(running)))
    unfinished.rename(file)


def announcement(running: Running, data_dir: Path) -> list[str]:
    """What is printed once everything runs."""
    return [
        "",
        "The demonstration is ready. The clinic and everybody in it are fictional. Each link works once.",
        f"  therapist  {running.links.therapist}",
        f"  nurse      {running.links.nurse}",
        f"  client     {running.links.client}",
        f"  admin      {running.links.admin}",
        f"  address    {running.base_url}   data, mail and logs: {data_dir}",
        "Check-ins arrive from now on; the first alert comes within a minute. Ctrl-C stops everything.",
    ]
