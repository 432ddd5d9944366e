"""Durable check-ins a second through the full path, beside the least that others would write, in alternating rounds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import msgspec

from benchmarks import driving
from benchmarks.driving import Extent, Server, drive
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground
from benchmarks.pgbench import inserts_per_second
from benchmarks.processes import cpu_seconds

OURS = "neap"
LITESTAR = "bare Litestar + asyncpg"
FASTAPI = "bare FastAPI + SQLAlchemy ORM"
PGBENCH = "pgbench single-row insert"
CEILING_PER_SECOND = 60_000


class Round(msgspec.Struct, frozen=True):
    """One turn of one contender; the processor time of a check-in hardly minds what others do on the machine."""

    per_second: float
    web_cpu_us: float = 0.0
    postgres_cpu_us: float = 0.0


async def measure(ground: Ground, extent: Extent) -> float:
    """Show the generator's ceiling and our rate beside the peers'; gives our rate, check-ins a second."""
    await _show_ceiling(ground, extent)
    async with AsyncExitStack() as stack:
        neap = await stack.enter_async_context(driving.neap(ground))
        litestar = await stack.enter_async_context(driving.peer("bare_litestar", ground))
        fastapi = await stack.enter_async_context(driving.peer("bare_fastapi", ground))
        contenders: Mapping[str, Callable[[], Awaitable[Round]]] = {
            OURS: lambda: _turn(ground, neap, extent.seconds),
            LITESTAR: lambda: _turn(ground, litestar, extent.seconds),
            FASTAPI: lambda: _turn(ground, fastapi, extent.seconds),
            PGBENCH: lambda: _turn_of_pgbench(ground, extent.seconds),
        }
        with watching_others() as others:
            turns = await _turns(contenders, extent.rounds)
    _show(turns, others.cpus)
    return statistics.median(turn.per_second for turn in turns[OURS])


def _show(turns: Mapping[str, list[Round]], foreign_cpus: float) -> None:
    medians = {name: _median(its) for name, its in turns.items()}
    peers = [name for name in turns if name != OURS]
    show(
        Figure(
            figure="durable_check_ins_per_second",
            value=medians[OURS].per_second,
            unit="1/s",
            versus={peer: medians[peer].per_second for peer in peers},
            # The median of the rounds' ratios: a minute in which others were busy slows both sides of one round alike.
            ratio={
                peer: statistics.median(
                    ours.per_second / theirs.per_second for ours, theirs in zip(turns[OURS], turns[peer], strict=True)
                )
                for peer in peers
            },
            foreign_cpus=foreign_cpus,
            notes={
                f"processor time, {name}": f"web {it.web_cpu_us:.0f} µs, PostgreSQL {it.postgres_cpu_us:.0f} µs"
                for name, it in medians.items()
                if it.web_cpu_us
            },
        )
    )


async def _turn(ground: Ground, server: Server, seconds: float) -> Round:
    web, postgres = cpu_seconds(server.pid), cpu_seconds(ground.postgres_pid)
    outcome = await drive(ground, server, seconds=seconds)
    return Round(
        per_second=sum(outcome.statuses.values()) / seconds,
        web_cpu_us=(cpu_seconds(server.pid) - web) / outcome.answers * 1e6,
        postgres_cpu_us=(cpu_seconds(ground.postgres_pid) - postgres) / outcome.answers * 1e6,
    )


async def _turn_of_pgbench(ground: Ground, seconds: float) -> Round:
    return Round(per_second=await inserts_per_second(ground, seconds=seconds))


async def _turns(contenders: Mapping[str, Callable[[], Awaitable[Round]]], rounds: int) -> dict[str, list[Round]]:
    turns: defaultdict[str, list[Round]] = defaultdict(list)
    for number in range(rounds):
        for name, turn in contenders.items():
            with watching_others() as others:
                it = await turn()
            turns[name].append(it)
            say(
                f"round {number + 1}: {name} {it.per_second:.0f}/s, processor time of one: web {it.web_cpu_us:.0f} µs, "
                f"PostgreSQL {it.postgres_cpu_us:.0f} µs (others kept {others.cpus:.2f} processors busy)"
            )
    return turns


def _median(turns: list[Round]) -> Round:
    return Round(
        per_second=statistics.median(turn.per_second for turn in turns),
        web_cpu_us=statistics.median(turn.web_cpu_us for turn in turns),
        postgres_cpu_us=statistics.median(turn.postgres_cpu_us for turn in turns),
    )


async def _show_ceiling(ground: Ground, extent: Extent) -> None:
    with watching_others() as others:
        async with driving.peer("ceiling", ground) as server:
            outcome = await drive(
                ground, server, seconds=extent.seconds, most_per_second=CEILING_PER_SECOND, expected=204
            )
    show(
        Figure(
            figure="load_generator_ceiling",
            value=sum(outcome.statuses.values()) / extent.seconds,
            unit="1/s",
            foreign_cpus=others.cpus,
            notes={"generator_cpus": round(outcome.generator_cpus, 2)},
        )
    )
