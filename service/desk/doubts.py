"""What a person is asked about before something is booked or planned for an odd time; pure."""

from __future__ import annotations

from datetime import date, time

from service.desk import sentences

# Three in the morning is more often three in the afternoon.
DAY_BEGINS, DAY_ENDS = time(6), time(22)


def of_infusion(on: date, at: time, *, today: date) -> str:
    """Why an infusion would hardly be planned for then, on the clinic's clock: a day that is over, or at night. ""
    where nothing is odd."""
    doubts = [past(on, today)] if on < today else []
    return " ".join(doubts + night(on, at, today=today))


def past(on: date, today: date) -> str:
    """How long ago a day was: "20 Nov is 8 days ago."."""
    days = (today - on).days
    return f"{sentences.day(on, today)} is {days} day{'' if days == 1 else 's'} ago."


def night(on: date, at: time, *, today: date) -> list[str]:
    """That a time is at night, where it is."""
    return [] if DAY_BEGINS <= at < DAY_ENDS else [f"{sentences.day(on, today)} {at:%H:%M} is at night."]
