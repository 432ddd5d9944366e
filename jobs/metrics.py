"""What the jobs process shows a monitor, in the Prometheus text format: numbers of the whole deployment, no ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from service import invariants
from service.watch import Figures

REGISTRY = CollectorRegistry()
OUTBOX_WAITING = Gauge("neap_outbox_waiting", "Messages that are due and not sent.", registry=REGISTRY)
OUTBOX_AGE = Gauge("neap_outbox_age_seconds", "Age of the message that waits longest.", registry=REGISTRY)
FOLD_WAITING = Gauge("neap_fold_waiting", "Clients with answers that are not in their trend yet.", registry=REGISTRY)
FOLD_AGE = Gauge("neap_fold_age_seconds", "Age of the answer that waits longest.", registry=REGISTRY)
ALERTS_OPEN = Gauge("neap_alerts_open", "Alerts that nobody has closed.", ["tier"], registry=REGISTRY)
ACKNOWLEDGE = Gauge(
    "neap_acknowledge_seconds_median", "From opening to acknowledgement, of seven days.", ["tier"], registry=REGISTRY
)
BROKEN = Gauge(
    "neap_invariant_broken_clinics", "Clinics in which a promise is broken.", ["invariant"], registry=REGISTRY
)
JOB_ENDED = Gauge(
    "neap_job_ended_timestamp_seconds", "When a run of the job ended last in this process.", ["job"], registry=REGISTRY
)
JOB_DONE = Counter(
    "neap_job_done", "What the runs of the job have counted in this process.", ["job", "what"], registry=REGISTRY
)
LOOKED_AT = Gauge("neap_reconciled_timestamp_seconds", "When promises were looked at last.", registry=REGISTRY)


def ended(job: str, counts: Mapping[str, int], *, now: datetime) -> None:
    """A run of the job ended: its lag is the time since; and what it counted, such as reminders that reached nobody."""
    JOB_ENDED.labels(job).set(now.timestamp())
    for what, count in counts.items():
        JOB_DONE.labels(job, what).inc(count)


def show(figures: Figures, broken: Mapping[str, int], *, now: datetime) -> None:
    """Set every figure as it is now."""
    OUTBOX_WAITING.set(figures.outbox_waiting)
    OUTBOX_AGE.set(figures.outbox_age_seconds)
    FOLD_WAITING.set(figures.fold_waiting)
    FOLD_AGE.set(figures.fold_age_seconds)
    for tier in ("1", "2", "3"):
        ALERTS_OPEN.labels(tier).set(figures.alerts_open.get(tier, 0))
        ACKNOWLEDGE.labels(tier).set(figures.acknowledge_median_seconds.get(tier, 0))
    BROKEN.clear()
    for name in {invariant.name for invariant in invariants.every()} | broken.keys():
        BROKEN.labels(name).set(broken.get(name, 0))
    LOOKED_AT.set(now.timestamp())


@contextmanager
def served(host: str, port: int | None) -> Iterator[None]:
    """Serve them at `http://host:port/metrics` for the block; not at all without a port."""
    if port is None:
        yield
        return
    server, thread = start_http_server(port, addr=host, registry=REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
