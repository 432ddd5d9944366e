"""Folding chunks on several processors: a process at the other end of each pipe, and no thread beside them.

A process pool feeds its workers from a thread, which waits for ever where they are killed while it writes
(https://github.com/python/cpython/issues/94777). Without one, a back-test can be stopped at any moment.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from itertools import islice
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from service import errors
from service.backtest import alerts
from service.backtest.alerts import Chunk, Found
from service.detection import Rules

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection


def folded(every: Iterator[Chunk], rules: Rules, count: int) -> Iterator[Found]:
    """What came of each chunk, in order, from `count` processes; in this one where that is 1 or no other may start.

    Raises NotReady where a worker ends before its work.
    """
    with _workers(count if count > 1 else 0, rules) as workers:
        if not workers:
            yield from (alerts.find(chunk, rules) for chunk in every)
            return
        try:
            yield from _shared_out(every, [worker.pipe for worker in workers])
        except (EOFError, OSError) as error:
            raise errors.NotReady("A worker process ended too early; --workers 1 needs the least memory.") from error


def _shared_out(every: Iterator[Chunk], idle: list[Connection]) -> Iterator[Found]:
    """Each worker holds one chunk at a time, so no end of a pipe ever waits for the other to read."""
    doing: dict[Connection, int] = {}
    done: dict[int, Found] = {}
    handed_out = turn = 0
    while True:
        for chunk in islice(every, len(idle)):
            pipe = idle.pop()
            pipe.send(chunk)
            doing[pipe] = handed_out
            handed_out += 1
        if not doing:
            return
        for ready in connection.wait(list(doing)):
            assert isinstance(ready, Connection)
            done[doing.pop(ready)] = ready.recv()
            idle.append(ready)
        while turn in done:
            yield done.pop(turn)
            turn += 1


@contextlib.contextmanager
def _workers(count: int, rules: Rules) -> Iterator[list[_Worker]]:
    """Processes to fold in, none where the system lets nobody have any; killed at the end, busy or not."""
    started: list[_Worker] = []
    try:
        with _undisturbed():
            try:
                started.extend(_start(rules) for _ in range(count))
            except OSError:
                _end(started)
                started.clear()
        yield started
    finally:
        _end(started)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Who is interrupted in starting a process does not know it: what asks to stop is heard afterwards.

    The mask is for the processes that begin with it. Here it holds back nothing that another thread may take.
    """
    asked: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: asked.append(number)) for number in STOP_SIGNALS}
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for heard in asked:
            signal.raise_signal(heard)


def _start(rules: Rules) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, rules), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _work(pipe: Connection, rules: Rules) -> None:
    """Fold what comes until nobody is at the other end; signals are the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send(alerts.find(pipe.recv(), rules))
