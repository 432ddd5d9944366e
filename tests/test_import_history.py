"""A history comes in: facts, trends, findings and alerts of origin import, and a second run changes nothing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, fold, import_history
from service.alerting import alerts
from service.commands import import_
from service.config import Config
from service.database import Pool
from service.facts import checkins
from service.import_history import file as import_file
from service.import_history.history import Counts
from service.people import clients
from tests.builders import MASTER
from tests.desk import a_person, a_session
from tests.importing import ROOT, client_named, command
from tests.web import serving

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EXCERPT = ROOT / "tests" / "data" / "jang2024_excerpt.tsv"
WHOLE = ROOT.parent / "shared" / "data" / "jang2024_panic_daily" / "daily.tsv"
AT_HAND = [each for each in ((EXCERPT, 3, 152), (WHOLE, 43, 3969)) if each[0].is_file()]

# Everything an import may write: a second run must leave all of it as it is.
CONTENT = """
select
  (select count(*) from check_in where clinic_id = $1) as check_ins,
  (select md5(string_agg(t::text, ',' order by t.client_id, t.client_day)) from trend t where clinic_id = $1) as trends,
  (select md5(string_agg(f::text, ',' order by f.finding_id)) from finding f where clinic_id = $1) as findings,
  (select md5(string_agg(a::text, ',' order by a.alert_id)) from alert a where clinic_id = $1) as alerts,
  (select count(*) from infusion_event where clinic_id = $1) as infusion_events,
  (select count(*) from audit_event where clinic_id = $1) as audit_events,
  (select count(*) from fold_due where clinic_id = $1) as due,
  (select count(*) from delivery where clinic_id = $1) as deliveries
"""


async def bring_in(pool: Pool, path: Path, *, now: datetime = NOW) -> tuple[Clinic, Counts]:
    history = import_file.read(path, map_name=None, today=now.date())
    clinic, _ = await import_history.find_or_make_clinic(pool, "imported", now=now)
    counts = await import_history.bring_in(
        pool, clinic, MASTER, history, source=history.map.name, now=now, done=lambda days: None
    )
    return clinic, counts


async def content(pool: Pool, clinic: Clinic) -> dict[str, object]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return dict(await db.get(dict, CONTENT, clinic.clinic_id))


def a_history(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(("path", "clients_there", "days"), AT_HAND)
async def test_real_days_come_in_with_a_trend_for_every_client_and_alerts_that_can_be_read(
    owner_pool: Pool, path: Path, clients_there: int, days: int
) -> None:
    clinic, counts = await bring_in(owner_pool, path)
    assert (counts.clients, counts.days, counts.new, counts.changed) == (clients_there, days, days, 0)
    assert counts.alerts > 0
    history = import_file.read(path, map_name=None, today=NOW.date())
    assert f"    {import_.summary(counts, history)}\n" in (ROOT / "docs" / "import.md").read_text()
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        with_trends = await db.value(
            "select count(distinct client_id) from trend where clinic_id = $1", clinic.clinic_id
        )
        answered = await db.value("select count(*) from trend where clinic_id = $1 and answered", clinic.clinic_id)
        origins = await db.value("select array_agg(distinct origin) from trend where clinic_id = $1", clinic.clinic_id)
        closed = await alerts.inbox(db, None, closed=True)
        events = await alerts.events_of(db, closed[0].alert_id)
    assert (with_trends, answered, origins) == (clients_there, days, ["import"])
    assert len(closed) == counts.alerts
    assert {alert.origin for alert in closed} == {"import"}
    assert events
    left = await content(owner_pool, clinic)
    assert (left["due"], left["deliveries"]) == (0, 0)


async def test_a_second_run_changes_nothing_at_all(owner_pool: Pool) -> None:
    clinic, first = await bring_in(owner_pool, EXCERPT)
    before = await content(owner_pool, clinic)
    _, second = await bring_in(owner_pool, EXCERPT, now=NOW.replace(hour=15))
    assert (second.new, second.changed, second.unchanged) == (0, 0, first.new)
    assert second.alerts == first.alerts
    assert await content(owner_pool, clinic) == before


async def test_the_same_data_under_another_file_name_is_the_same_source(owner_pool: Pool, tmp_path: Path) -> None:
    await bring_in(owner_pool, EXCERPT)
    _, counts = await bring_in(owner_pool, a_history(tmp_path / "again.tsv", EXCERPT.read_text()))
    assert (counts.new, counts.unchanged) == (0, 152)


async def test_a_changed_row_is_a_new_version_that_supersedes(owner_pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    await bring_in(owner_pool, a_history(file, "client,day,mood,note\na,2026-11-01,4,first\na,2026-11-02,5,\n"))
    clinic, counts = await bring_in(owner_pool, a_history(file, "client,day,mood,note\na,2026-11-01,7,better\n"))
    assert (counts.new, counts.changed, counts.unchanged) == (0, 1, 0)
    client_id = await client_named(owner_pool, clinic, "a")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        rows = await checkins.days_of(db, client_id, from_day=date(2026, 11, 1), until_day=date(2026, 11, 30))
        sealer = await clients.sealer_of(db, MASTER, client_id)
        stored = await db.value("select count(*) from check_in where clinic_id = $1", clinic.clinic_id)
        trend_mood = await db.value(
            "select mood from trend where clinic_id = $1 and client_day = $2", clinic.clinic_id, date(2026, 11, 1)
        )
    assert ([row.mood for row in rows], stored, trend_mood) == ([7, 5], 3, 7)
    note = rows[0].note_sealed
    assert note is not None
    binding = checkins.note_binding(clinic.clinic_id, rows[0].check_in_id)
    assert sealer.open(note, bound_to=binding) == b"better"


async def test_an_answer_that_is_taken_back_leaves_the_day_unanswered(owner_pool: Pool, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    header = "client,day,mood,infusion,note\n"
    full = f"{header}a,2026-11-01,4,,\na,2026-11-02,5,1,a note\na,2026-11-03,6,,\n"
    taken_back = f"{header}a,2026-11-02,,,\na,2026-11-04,,,\nb,2026-11-02,,,\n"
    await bring_in(owner_pool, a_history(file, full))
    clinic, changed = await bring_in(owner_pool, a_history(file, taken_back))
    assert (changed.clients, changed.new, changed.changed, changed.unchanged) == (1, 0, 1, 0)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await db.value("select client_id from client where clinic_id = $1", clinic.clinic_id)
        assert isinstance(client_id, UUID)
        rows = await checkins.days_of(db, client_id, from_day=date(2026, 11, 1), until_day=date(2026, 11, 30))
        trend = await db.connection.fetch(
            "select answered, mood from trend where clinic_id = $1 order by client_day", clinic.clinic_id
        )
        stored = await db.value("select count(*) from check_in where clinic_id = $1", clinic.clinic_id)
        infusion = await db.value("select state from infusion where clinic_id = $1", clinic.clinic_id)
    assert [(row.client_day.day, row.mood, row.note_sealed is None) for row in rows] == [
        (1, 4, True),
        (2, None, True),
        (3, 6, True),
    ]
    assert [tuple(row) for row in trend] == [(True, 4), (False, None), (True, 6)]
    assert (stored, infusion) == (4, "cancelled")
    before = await content(owner_pool, clinic)
    _, again = await bring_in(owner_pool, file)
    assert (again.new, again.changed, again.unchanged) == (0, 0, 1)
    assert await content(owner_pool, clinic) == before
    _, restored = await bring_in(owner_pool, a_history(file, full))
    assert (restored.new, restored.changed, restored.unchanged) == (0, 1, 2)


async def test_a_day_answered_at_noon_of_the_clinic_never_counts_after_its_arrival(
    owner_pool: Pool, tmp_path: Path
) -> None:
    clinic, _ = await bring_in(
        owner_pool, a_history(tmp_path / "a.csv", "client,day,mood\na,2026-11-21,4\na,2026-11-22,4\n")
    )
    client_id = await client_named(owner_pool, clinic, "a")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        rows = await checkins.days_of(db, client_id, from_day=date(2026, 11, 21), until_day=date(2026, 11, 22))
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert [row.answered_at for row in rows] == [noon, noon.replace(day=22)]
    assert [row.counted_at for row in rows] == [noon, NOW]


async def test_the_course_reaches_from_the_first_day_to_the_last_and_grows_with_a_longer_history(
    owner_pool: Pool, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    await bring_in(owner_pool, a_history(file, "client,day,mood\na,2026-10-05,4\na,2026-10-20,4\n"))
    clinic, counts = await bring_in(owner_pool, a_history(file, "client,day,craving\na,2026-10-01,4\na,2026-11-02,4\n"))
    assert counts.new == 2
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        course = await db.connection.fetchrow(
            "select started_on, ended_on, phase from course where clinic_id = $1", clinic.clinic_id
        )
        days = await db.connection.fetchrow(
            "select min(client_day), max(client_day), count(*) from trend where clinic_id = $1", clinic.clinic_id
        )
    assert course is not None
    assert tuple(course) == (date(2026, 10, 1), date(2026, 11, 2), "discharged")
    assert days is not None
    assert tuple(days) == (date(2026, 10, 1), date(2026, 11, 2), 33)


async def test_an_infusion_that_a_row_names_is_given_once_and_cancelled_when_it_no_longer_does(
    owner_pool: Pool, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    text = "client,day,mood,infusion\na,2026-11-01,4,1\na,2026-11-02,,1\n"
    _, first = await bring_in(owner_pool, a_history(file, text))
    _, again = await bring_in(owner_pool, file)
    clinic, changed = await bring_in(owner_pool, a_history(file, text.replace("4,1", "4,0")))
    assert (first.new, again.unchanged, changed.changed) == (2, 2, 1)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        states = await db.connection.fetch(
            "select state from infusion where clinic_id = $1 order by planned_at", clinic.clinic_id
        )
    assert [row["state"] for row in states] == ["cancelled", "given"]


async def test_reported_use_of_an_opioid_is_an_urgent_alert_of_history_that_is_sent_to_nobody(
    owner_pool: Pool, tmp_path: Path
) -> None:
    text = "client,day,craving_opioid,used\na,2026-11-01,4,opioid\na,2026-11-03,4,opioid\n"
    clinic, counts = await bring_in(owner_pool, a_history(tmp_path / "a.csv", text))
    assert counts.alerts == 2
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        found = await alerts.inbox(db, None, closed=True)
    assert sorted((alert.tier, alert.state) for alert in found) == [(1, "auto_resolved"), (2, "auto_resolved")]
    assert (await content(owner_pool, clinic))["deliveries"] == 0


async def test_an_import_killed_before_its_trends_is_completed_by_the_next(
    owner_pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    async def die(*args: object, **kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(fold, "fold_many", die)
        with pytest.raises(Killed):
            await bring_in(owner_pool, EXCERPT)
    clinic, counts = await bring_in(owner_pool, EXCERPT)
    assert (counts.new, counts.unchanged) == (0, 152)
    assert counts.alerts > 0
    assert (await content(owner_pool, clinic))["due"] == 0


def test_the_command_ends_with_the_counts_and_says_what_it_refused(settings: Config, tmp_path: Path) -> None:
    file = a_history(tmp_path / "a.csv", "client,day,mood\na,2026-11-01,4\na,2026-11-02,44\n")
    done = command(settings, str(file))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"refused: {file}: line 3, column mood: mood must be 0 to 10" in lines
    assert lines[-1] == "1 clients, 1 days: 1 new, 0 changed, 0 unchanged, 1 refused; 0 alerts in history"


def test_the_command_tells_a_bad_file_in_one_line_and_ends_with_2(settings: Config, tmp_path: Path) -> None:
    done = command(settings, str(a_history(tmp_path / "a.csv", "client,day,moood\n")))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"neap: {tmp_path / 'a.csv'}: line 1, column moood: unknown column; did you mean mood?"
    ]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--clinic", "No Slug"), "neap: --clinic: a slug has at most 63"),
        (("--clinic", "inbox"), "neap: --clinic: inbox is an address of Neap itself"),
        (("--source", ""), "neap: --source: a name of at most 200"),
        (("--source", " "), "neap: --source: a name of at most 200"),
    ],
)
def test_the_command_refuses_a_clinic_or_source_that_cannot_be_before_it_reads_the_file(
    settings: Config, tmp_path: Path, option: tuple[str, str], told: str
) -> None:
    done = command(settings, str(tmp_path / "nowhere.csv"), *option)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(told)


def test_the_command_ends_with_1_when_every_row_was_refused(settings: Config, tmp_path: Path) -> None:
    done = command(settings, str(a_history(tmp_path / "a.csv", "client,day,mood\na,2026-11-01,3.5\n")))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == [
        f"refused: {tmp_path / 'a.csv'}: line 2, column mood: mood must be a whole number",
        "0 clients, 0 days: 0 new, 0 changed, 0 unchanged, 1 refused; 0 alerts in history",
    ]


def test_the_command_says_when_a_plain_file_adds_to_the_source_of_another_import(
    settings: Config, tmp_path: Path
) -> None:
    first = a_history(tmp_path / "a.csv", "client,day,mood\n1,2026-11-01,4\n")
    other = a_history(tmp_path / "b.csv", "client,day,mood\n1,2026-11-01,7\n2,2026-11-01,7\n")
    told = "added to the source plain, in which an earlier import had made 1 clients; "
    assert told not in command(settings, str(first)).stderr
    assert told not in command(settings, str(first)).stderr
    assert told not in command(settings, str(other), "--source", "ward b").stderr
    (line,) = [line for line in command(settings, str(other)).stderr.splitlines() if line.startswith(told)]
    assert "--source" in line


async def test_after_an_import_nobody_can_read_the_command_says_how_somebody_can(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    file = a_history(tmp_path / "a.csv", "client,day,mood\na,2026-11-01,4\n")
    first = await asyncio.to_thread(command, settings, str(file))
    assert "python -m service create-clinic --slug imported --name 'Imported histories (imported)'" in first.stderr
    assert "made the clinic imported, time zone UTC" in first.stdout.splitlines()
    clinic, _ = await import_history.find_or_make_clinic(owner_pool, "imported", now=NOW)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await a_person(db, Role.ADMIN)
    assert "create-clinic" not in (await asyncio.to_thread(command, settings, str(file))).stderr


async def test_a_coordinator_reads_the_imported_alerts_and_their_reasons_with_numbers(
    settings: Config, owner_pool: Pool
) -> None:
    clinic, counts = await bring_in(owner_pool, EXCERPT)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        reader = await a_session(db, await a_person(db, Role.COORDINATOR))
        outsider = await a_session(db, await a_person(db, Role.THERAPIST))
        known = await alerts.inbox(db, None, closed=True)
    async with serving(settings) as http:
        history = (await http.get("/inbox/history", headers=reader.cookie)).text
        assert history.count("found when the history was imported") == counts.alerts == len(known)
        assert re.search(r'<p class="reason">(Mood|Anxiety) [0-9.]+ points (above|below) usual', history)
        for alert in known:
            assert f"/alerts/{alert.alert_id}" in history
            page = (await http.get(f"/alerts/{alert.alert_id}", headers=reader.cookie)).text
            assert "imported history: nobody was told" in page
            assert re.search(r'<td class="n">[+-][0-9.]+ ± [0-9.]+</td>', page)
            assert (await http.get(f"/alerts/{alert.alert_id}", headers=outsider.cookie)).status_code == 404
        client = (await http.get(f"/clients/{known[0].client_id}", headers=reader.cookie)).text
    assert "Imported history." in client
    assert "Craving was not asked; the trend rests on mood and anxiety." in client
