"""The whole product on one machine with a fictional clinic: database, jobs, web, mail and webhook catchers, phones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import msgspec

from service import database, embedded
from service.config import Config
from service.database import Pool
from service.demo import clinic, live, player, process, rota, staged, visit, webhook
from service.demo import fresh as demo_fresh
from service.demo import mail as demo_mail
from service.demo.clinic import DemoClinic
from service.demo.live import Fresh
from service.demo.process import Child, ChildFailed, Keeper
from service.demo.visit import Pids, Place, Running
from service.errors import Conflict
from service.facts import client_day
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import clinics
from service.storage import preparing

READY_SECONDS = 90.0
RECORD = "demo.json"
POLL_SECONDS = 0.05
POOL_SIZE = 3


Say = Callable[[str], None]
Progress = Callable[[int], Callable[[object], object]]


def place_for(config: Config) -> Place:
    """The wanted port or the next free one, and the address that goes with it. Raises OSError when none is free."""
    port = process.free_port(config.host, config.port)
    own = config.base_url != f"http://127.0.0.1:{config.port}"
    return Place(port=port, base_url=config.base_url if own else f"http://127.0.0.1:{port}")


async def run(config: Config, *, say: Say, clock: Callable[[], datetime], day_played: Progress) -> None:
    """Run it until cancelled; everything that was started is stopped on the way out.

    Raises ChildFailed when a process does not come up or dies too often, OSError when no port is free, and whatever
    `storage.at_hand` raises.
    """
    place = place_for(config)
    if place.port != config.port:
        say(f"Port {config.port} is taken; using {place.port}.")
    file = config.data_dir / RECORD
    file.unlink(missing_ok=True)
    async with AsyncExitStack() as stack:
        say("Starting PostgreSQL …")
        settings, hook_port = await _settings(stack, config, place)
        jobs, web = await _load_both(stack, config, settings)
        cluster = await stack.enter_async_context(preparing.at_hand(config, tell=lambda _: None))
        keeper = Keeper(cluster.pid if cluster is not None and cluster.started_by_us else None, file)
        await keeper.start()
        stack.push_async_callback(keeper.stop)
        owner_url = config.database_url_of("owner")
        pool = await database.open_pool(owner_url, size=POOL_SIZE, application_name="neap_demo")
        stack.push_async_callback(pool.close)
        await refuse_real_clinics(pool)
        await refuse_other_deliveries(pool, config.database_url_of("sweep"))
        async with pool.acquire() as connection:
            master = await root_key.sealer(connection, config.master_key())
        demo, fresh = await _prepare(pool, master, say=say, now=clock(), day_played=day_played)
        await _catch_hooks(stack, config, pool, demo, master, hook_port, now=clock())
        postgres = cluster.pid if cluster is not None else None
        pids = Pids(postgres=postgres, web=web.pid, jobs=jobs.pid)
        running = await visit.let_in(pool, demo, place, owner_url, pids, now=clock())
        stack.callback(file.unlink, missing_ok=True)
        await _begin_both(pool, keeper, jobs, web, place, say=say, clock=clock)
        # From here on the web process calls itself ready: whoever waits for the one finds the other.
        visit.write(file, running)
        await process.until(web, _answers(place, "/health/ready"), seconds=READY_SECONDS)
        for line in visit.announcement(running, config.data_dir):
            say(line)
        await _serve(config, pool, demo, fresh, keeper, running, (jobs, web), say=say, clock=clock)


async def refuse_real_clinics(pool: Pool) -> None:
    """Raise Conflict where the data folder holds clinics, none of them the demonstration's: a restored one, say.

    Fictional people do not move in there.
    """
    async with database.across_clinics(pool) as connection:
        every = await clinics.all_clinics(connection)
    own = next((each for each in every if each.slug == clinic.SLUG), None)
    if own is not None:
        async with database.transaction(pool, own.clinic_id) as db:
            if (await clinics.get_setting(db)).fictional:
                return
    if every:
        slugs = ", ".join(each.slug for each in every)
        raise Conflict(
            f"the data folder holds {slugs}, which no demonstration made: start it with "
            "`python -m service database`, web and jobs, or set NEAP_DATA_DIR to another folder"
        )


WAITING_ELSEWHERE = """
select distinct clinic_id
from delivery
where state in ('queued', 'failed')
"""


async def refuse_other_deliveries(pool: Pool, sweep_url: str) -> None:
    """Raise Conflict where another clinic's deliveries wait: ours would send them to the demonstration's mail catcher.

    They are seen as neap_sweep, the one role that sees every clinic's.
    """
    sweep = await database.open_pool(sweep_url, size=1, application_name="neap_demo_sweep")
    async with sweep, database.across_clinics(sweep) as connection:
        waiting = {record["clinic_id"] for record in await connection.fetch(WAITING_ELSEWHERE)}
    async with database.across_clinics(pool) as connection:
        every = await clinics.all_clinics(connection)
    others = [each.slug for each in every if each.clinic_id in waiting and each.slug != clinic.SLUG]
    if others:
        raise Conflict(
            f"alerts of {', '.join(others)} wait to be sent, and the demonstration would swallow them; "
            "send them with `python -m jobs` first, or set NEAP_DATA_DIR to another folder"
        )


async def _prepare(
    pool: Pool, master: Sealer, *, say: Say, now: datetime, day_played: Progress
) -> tuple[DemoClinic, Fresh]:
    demo = await clinic.find_or_make(pool, now=now)
    today = client_day.of(now, demo.zone)
    yesterday = today - timedelta(days=1)
    missing = (today - await player.next_day(pool, demo)).days
    if missing > 0:
        say(f"Playing {missing} {'day' if missing == 1 else 'days'} of the fictional clinic …")
        await player.play(pool, demo, master, until=yesterday, played=day_played(missing))
    async with database.transaction(pool, demo.clinic.clinic_id) as db:
        person, client_id = await demo_fresh.bring_in(db, demo, master, today, now=now)
        await staged.stage(db, demo, master, today, now=now)
        async with clinic.unless_a_visitor_was_here(db):
            await rota.arrange(db, demo, today, now=now)
    return demo, Fresh(person, client_id)


async def _settings(stack: AsyncExitStack, config: Config, place: Place) -> tuple[dict[str, str], int]:
    """Start what catches mail; the settings under which the processes run, and the port where webhooks are caught."""
    mail_dir = config.data_dir / "mail"
    mail = await demo_mail.listen(mail_dir)
    stack.push_async_callback(_close, mail)
    hook_port = process.free_port(webhook.HOST, 0)
    return {
        "NEAP_HOST": config.host,
        "NEAP_PORT": str(place.port),
        "NEAP_BASE_URL": place.base_url,
        "NEAP_DATA_DIR": str(config.data_dir),
        "NEAP_DEMO": "true",
        "NEAP_DEMO_MAIL_DIR": str(mail_dir),
        "NEAP_DEMO_RECORD": str(config.data_dir / RECORD),
        "NEAP_SMTP_HOST": demo_mail.HOST,
        "NEAP_SMTP_PORT": str(demo_mail.port_of(mail)),
        "NEAP_SMTP_SECURITY": "none",
        "NEAP_SMTP_USER": "",
        "NEAP_SMTP_PASSWORD": "",
        "NEAP_SMTP_PASSWORD_FILE": "",
        "NEAP_MAIL_FROM": "neap@demo.example",
        "NEAP_WEBHOOK_ALLOW": f"{webhook.HOST}:{hook_port}",
    }, hook_port


async def _catch_hooks(
    stack: AsyncExitStack, config: Config, pool: Pool, demo: DemoClinic, master: Sealer, port: int, *, now: datetime
) -> None:
    async with database.transaction(pool, demo.clinic.clinic_id) as db:
        address = f"http://{webhook.HOST}:{port}{webhook.PATH}"
        secret = await clinic.announce_at(db, master, address, now=now)
    hooks = await webhook.listen(config.data_dir / "webhooks", secret, port=port)
    stack.push_async_callback(_close, hooks)


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


async def _load_both(stack: AsyncExitStack, config: Config, settings: dict[str, str]) -> tuple[Child, Child]:
    """The jobs process and the web process, loading their code; they are stopped in the other order."""
    environ = process.environ_for(settings)
    jobs_command = process.python_command("jobs", code="jobs.process")
    jobs = Child("jobs", jobs_command, environ=environ, log_file=config.data_dir / "jobs.log")
    web_command = process.python_command("service", "web", code="service.commands.web")
    web = Child("web", web_command, environ=environ, log_file=config.data_dir / "web.log")
    for each in (jobs, web):
        await each.load()
        stack.push_async_callback(each.stop)
    return jobs, web


async def _begin_both(
    pool: Pool, keeper: Keeper, jobs: Child, web: Child, place: Place, *, say: Say, clock: Callable[[], datetime]
) -> None:
    """Jobs first, web once they run: the port opens only when both are there."""
    say("Starting the jobs process …")
    started_at = clock()
    await keeper.watch([pid for pid in (jobs.pid, web.pid) if pid])
    await jobs.begin()
    await process.until(jobs, _heartbeat(pool, since=started_at), seconds=READY_SECONDS)
    say("Starting the web process …")
    await web.begin()
    await process.until(web, _answers(place, "/health/live"), seconds=READY_SECONDS)


HEARTBEAT = """
select exists (
  select
  from deployment_job_run
  where seen_at >= $1
)
"""


async def _heartbeat(pool: Pool, *, since: datetime) -> None:
    while not await pool.fetchval(HEARTBEAT, since):  # noqa: ASYNC110 - another process's row is no event of ours
        await asyncio.sleep(POLL_SECONDS)


async def _answers(place: Place, address: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{place.port}", trust_env=False) as http:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await http.get(address)).status_code == HTTPStatus.OK:
                    return
            await asyncio.sleep(POLL_SECONDS)


async def _serve(
    config: Config,
    pool: Pool,
    demo: DemoClinic,
    fresh: Fresh,
    keeper: Keeper,
    running: Running,
    children: tuple[Child, Child],
    *,
    say: Say,
    clock: Callable[[], datetime],
) -> None:
    jobs, web = children

    async def restarted() -> None:
        await keeper.watch([pid for pid in (jobs.pid, web.pid) if pid])
        pids = Pids(postgres=running.pids.postgres, web=web.pid, jobs=jobs.pid)
        visit.write(config.data_dir / RECORD, msgspec.structs.replace(running, pids=pids))

    async with _phones(config, pool, demo, running, clock=clock) as phones, asyncio.TaskGroup() as tasks:
        for child in children:
            tasks.create_task(process.kept_running(child, say=say, restarted=restarted))
        if running.pids.postgres is not None:
            tasks.create_task(_watch_database(running.pids.postgres, config.data_dir))
        tasks.create_task(live.live(phones, demo, fresh, clock=clock))


@asynccontextmanager
async def _phones(
    config: Config, pool: Pool, demo: DemoClinic, running: Running, *, clock: Callable[[], datetime]
) -> AsyncIterator[live.Phones]:
    port = httpx.URL(running.base_url).port or config.port
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
        yield live.Phones(http, pool, demo, config.data_dir / "phones.json", clock=clock)


async def _watch_database(pid: int, data_dir: Path) -> None:
    await embedded.ended(pid)
    raise ChildFailed(f"PostgreSQL ended; {data_dir / 'postgres.log'} says why. Start the demonstration again.")
