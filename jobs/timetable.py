"""The complete timetable: every job, when it runs, and why then."""

from __future__ import annotations

from datetime import time

from jobs import (
    auto_resolve,
    climb_ladders,
    close_client_days,
    deliver_messages,
    end_lapsed_leases,
    fold_check_ins,
    plan_briefs,
    plan_digests,
    plan_untold,
    prune_expired,
    reconcile,
    refit_population,
    seal_audit,
    send_reminders,
    watch_appointments,
)
from jobs.work import Daily, Period
from schemas.alert import Channel
from service.alerting import tempo
from service.alerting.outbox import Lane

DAILIES = (
    Daily(
        "close_client_days",
        close_client_days.run_once,
        tuple(time(hour, 5) for hour in (0, 4, 8, 12, 16, 20)),
        "04:00 ends a client's day; a client elsewhere in the world waits four hours at most",
    ),
    Daily(
        "watch_appointments",
        watch_appointments.run_once,
        tuple(time(hour, 20) for hour in range(24)),
        "a clearance runs out at any hour; by night only what comes within 8 hours is told",
        looks_at_now=True,
    ),
    Daily(
        "plan_digests", plan_digests.run_once, (tempo.MORNING,), "read before the working day; its absence is noticed"
    ),
    Daily("auto_resolve", auto_resolve.run_once, (time(6, 30),), "before the digest counts what is open"),
    Daily("prune_expired", prune_expired.run_once, (time(3, 30),), "when nobody works"),
)

PERIODS: tuple[Period, ...] = (
    Period("fold_check_ins", fold_check_ins.run_once, 2, "an answer shows in the trend while the client puts it away"),
    *(
        Period(f"deliver_urgent_{channel}", deliver_messages.by(channel, Lane.URGENT), 2, "waits for no lost hint")
        for channel in Channel
    ),
    *(
        Period(f"deliver_{channel}", deliver_messages.by(channel, Lane.ALL), 2, "what is urgent is tried by both")
        for channel in Channel
    ),
    Period("end_lapsed_leases", end_lapsed_leases.run_once, 15, "half an hour is an urgent lease", hinted=False),
    Period("climb_ladders", climb_ladders.run_once, 15, "a quarter of an hour is an urgent step", hinted=False),
    Period("seal_audit", seal_audit.run_once, 60, "at most a minute of the audit trail is unsealed", hinted=False),
    Period(
        "reconcile",
        reconcile.looking_at(DAILIES),
        60,
        "whatever does not happen that should is noticed within a minute",
        hinted=False,
        at_once=False,
    ),
    Period(
        "plan_briefs",
        plan_briefs.run_once,
        300,
        "a brief is told of a day before its session or infusion",
        hinted=False,
    ),
    Period("plan_untold", plan_untold.run_once, 20, "whoever is back at work hears what told nobody", hinted=False),
    Period("send_reminders", send_reminders.run_once, 20, "the client chose the minute", hinted=False),
    Period("refit_population", refit_population.run_once, 21_600, "every 28 days there is one to do", hinted=False),
)


def lines() -> list[str]:
    """The timetable as text."""
    hint = {True: ", or on a hint", False: ""}
    table = [(each.name, f"every {each.seconds:g} s{hint[each.hinted]}", each.why) for each in PERIODS]
    table += [(each.name, "local " + " ".join(f"{at:%H:%M}" for at in each.at), each.why) for each in DAILIES]
    return [f"{name:21} {when:41} {why}" for name, when, why in table]
