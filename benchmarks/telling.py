"""From a check-in's commit to the alert it opens and to the first message of it, at 50 check-ins a second."""

from __future__ import annotations

import asyncio

import asyncpg
import msgspec

from benchmarks import driving, ground, noticing, processes
from benchmarks.driving import drive
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground
from benchmarks.latency import percentile
from tests.sinks import a_mail_sink

PER_SECOND = 50.0
# What is built before the clock starts; a Poisson process may well send more than its mean.
MOST_PER_SECOND = 60
FULL_SECONDS = 60.0
QUICK_SECONDS = 4.0
# One check-in of so many is a client's first, which crosses their limit; the others come from phones that go on.
SHARE_THAT_CROSSES = 4
SETTLE_SECONDS = 60.0
POLL_SECONDS = 0.1

# Of each client the first check-in: the one that crosses.
DELAYS = """
with first as (
  select distinct on (client_id) clinic_id, client_id, pg_xact_commit_timestamp(xmin) as at
  from check_in
  where device_id is not null
  order by client_id, pg_xact_commit_timestamp(xmin)
)
select
  1000 * extract(epoch from pg_xact_commit_timestamp(opened.xmin) - first.at)::float8 as alert_ms,
  1000 * extract(epoch from pg_xact_commit_timestamp(dispatched.xmin) - first.at)::float8 as dispatch_ms
from first
join alert a
  on a.clinic_id = first.clinic_id
  and a.client_id = first.client_id
join alert_event opened
  on opened.clinic_id = a.clinic_id
  and opened.alert_id = a.alert_id
  and opened.kind = 'opened'
left join alert_event dispatched
  on dispatched.clinic_id = a.clinic_id
  and dispatched.alert_id = a.alert_id
  and dispatched.kind = 'dispatched'
"""


class Delay(msgspec.Struct, frozen=True):
    """From a check-in's commit to that of its alert, and to that of the alert's first message having gone out."""

    alert_ms: float
    dispatch_ms: float | None


async def measure(*, quick: bool) -> None:
    """Show the p99 of both, ms, over check-ins at random moments; messages go to a mail server beside us."""
    seconds = QUICK_SECONDS if quick else FULL_SECONDS
    async with ground.served(track_commit_timestamp="on") as here, a_mail_sink() as mail:
        say("filling a clinic with histories")
        sending = int(MOST_PER_SECOND * (seconds + driving.WARM_UP_SECONDS))
        tokens = await noticing.with_histories(here, sending // SHARE_THAT_CROSSES)
        busy = tokens[: len(tokens) // SHARE_THAT_CROSSES]
        more = [busy[n % len(busy)] for n in range(sending - len(tokens))]
        here = msgspec.structs.replace(here, access_tokens=tokens + more)
        environ = here.environ | ground.mailing_to(mail.port)
        with watching_others() as others:
            async with processes.running("jobs", environ=environ), driving.neap(here) as web:
                await drive(
                    here,
                    web,
                    seconds=seconds,
                    per_second=PER_SECOND,
                    most_per_second=MOST_PER_SECOND,
                    answers=noticing.WORSE,
                )
                delays = await _settled(here)
    _show([each.alert_ms for each in delays], "alert", delays, others.cpus)
    _show([each.dispatch_ms for each in delays if each.dispatch_ms is not None], "dispatch", delays, others.cpus)


def _show(values: list[float], until: str, delays: list[Delay], foreign_cpus: float) -> None:
    notes: dict[str, float | str] = {"alerts": len(delays), "p50_ms": round(percentile(values, 50), 1)}
    show(
        Figure(
            figure=f"check_in_to_{until}_p99_at_50_per_second",
            value=percentile(values, 99),
            unit="ms",
            foreign_cpus=foreign_cpus,
            notes=notes | {"longest_ms": round(max(values), 1)},
        )
    )


async def _settled(here: Ground) -> list[Delay]:
    """What was measured, once everything is folded and everybody told. Raises RuntimeError where that never is."""
    connection = await asyncpg.connect(here.superuser_url)
    try:
        for _ in range(int(SETTLE_SECONDS / POLL_SECONDS)):
            if not await connection.fetchval("select exists (select from fold_due)"):
                found = [msgspec.convert(record, Delay) for record in await connection.fetch(DELAYS)]
                if found and all(each.dispatch_ms is not None for each in found):
                    return found
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()
    raise RuntimeError("check-ins were left unfolded, or alerts untold")
