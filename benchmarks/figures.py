"""One figure a line on stdout as JSON, progress on stderr, and how busy others kept the machine meanwhile."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psutil

from benchmarks import processes

DECIMALS = 3


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A measured value beside its peers; `ratio` is ours over theirs, `foreign_cpus` what others used meanwhile."""

    figure: str
    value: float
    unit: str
    versus: dict[str, float] = {}
    ratio: dict[str, float] = {}
    foreign_cpus: float
    notes: dict[str, float | str] = {}


def show(figure: Figure) -> None:
    """Print a figure as one line of JSON."""
    rounded = msgspec.structs.replace(
        figure,
        value=round(figure.value, DECIMALS),
        versus={peer: round(value, DECIMALS) for peer, value in figure.versus.items()},
        ratio={peer: round(value, DECIMALS) for peer, value in figure.ratio.items()},
        foreign_cpus=round(figure.foreign_cpus, DECIMALS),
    )
    print(msgspec.json.encode(rounded).decode(), flush=True)


def say(text: str) -> None:
    """Tell on stderr how far the run is."""
    print(text, file=sys.stderr, flush=True)


class Foreign:
    """The processors' time that went to processes other than ours, as a number of processors kept busy."""

    cpus = 0.0


@contextmanager
def watching_others() -> Iterator[Foreign]:
    """Measure, over the block, what the machine did beyond this process and those it started."""
    foreign, begin, busy, ours = Foreign(), time.monotonic(), _busy_seconds(), processes.cpu_seconds(os.getpid())
    yield foreign
    others = (_busy_seconds() - busy) - (processes.cpu_seconds(os.getpid()) - ours)
    foreign.cpus = max(0.0, others / (time.monotonic() - begin))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)
