"""Who is in the demonstration clinic: invented people, and what they might write. Nobody here exists."""

from __future__ import annotations

from enum import StrEnum
from random import Random

import msgspec

from schemas.course import PauseReason, Substance
from schemas.staff import Role

SEED = 20261123


class Line(StrEnum):
    """The story that a client's answers tell."""

    STEADY = "steady"
    IMPROVES = "improves"
    WANES = "wanes before the booster"
    STEP = "relapses as a step"
    RAMP = "relapses as a ramp"
    SPIKE = "relapses as a spike"
    SILENT = "goes silent"
    NOISY = "noisy but stable"
    LATE_SYNC = "late sync"


class Colleague(msgspec.Struct, frozen=True):
    """A fictional member of staff."""

    key: str
    name: str
    role: Role

    @property
    def email(self) -> str:
        """An address that can never be real (RFC 2606)."""
        return f"{self.key}@demo.example"


class Away(msgspec.Struct, frozen=True):
    """A pause of the story: days after the clinic's first, both inclusive."""

    first: int
    last: int
    reason: PauseReason


class Person(msgspec.Struct, frozen=True):
    """A fictional client.

    `joins`, `turns`: days after the clinic's first day on which the course starts, and the story's turn comes.
    `craving`, `strain`: usual craving, and usual distance of mood from 10 and of anxiety from 0, in points;
    `spread`: sd of the days around it; `answers`: share of days answered; `relief`: what an infusion takes off craving,
    in points. `visitor`: no simulated phone answers for them, a visitor may. `away`: a pause, as its first and last day
    after the clinic's first; `leaves`: the last day of the course.
    """

    given_name: str
    family_name: str
    substances: tuple[Substance, ...]
    therapist: str
    line: Line
    joins: int
    turns: int
    craving: float
    strain: float
    spread: float
    answers: float
    time_zone: str = "America/Chicago"
    visitor: bool = False
    relief: float = 1.2
    away: Away | None = None
    leaves: int | None = None

    @property
    def key(self) -> str:
        """What every random draw about them is seeded with."""
        return f"{self.given_name} {self.family_name}"


def drawn(person: Person, at: int, what: str) -> Random:
    """The random draws about one thing of a person on one day: the same whenever they are drawn."""
    return Random(f"{SEED}:{person.key}:{at}:{what}")  # noqa: S311 - a story, not a secret


COLLEAGUES = (
    Colleague("maren.holt", "Maren Holt", Role.THERAPIST),
    Colleague("jonas.feld", "Jonas Feld", Role.THERAPIST),
    Colleague("priya.anand", "Priya Anand", Role.THERAPIST),
    Colleague("tomas.reyes", "Tomas Reyes", Role.NURSE),
    Colleague("ingrid.solis", "Ingrid Solis", Role.PRESCRIBER),
    Colleague("ada.whitlock", "Ada Whitlock", Role.COORDINATOR),
    Colleague("ruben.ellery", "Ruben Ellery", Role.ADMIN),
    Colleague("noor.haddad", "Noor Haddad", Role.PRIVACY_OFFICER),
)

ALC, COC, OPI, OTH = Substance.ALCOHOL, Substance.COCAINE, Substance.OPIOID, Substance.OTHER
HOLT, FELD, ANAND = "maren.holt", "jonas.feld", "priya.anand"

# One who is away while the clinic is first visited, one who has come back.
TRAVELS, IN_HOSPITAL = Away(117, 127, PauseReason.TRAVEL), Away(71, 78, PauseReason.INPATIENT)

# Over whose shoulders a visitor looks; what happens while they watch happens to the therapist's own clients.
VISITED_THERAPIST, VISITED_NURSE, VISITED_ADMIN = HOLT, "tomas.reyes", "ruben.ellery"

PEOPLE = (
    Person("Alma", "Quist", (ALC,), HOLT, Line.IMPROVES, 0, 30, 2.4, 2.6, 0.8, 0.90),
    Person("Bruno", "Castell", (ALC,), HOLT, Line.STEP, 2, 114, 2.2, 3.0, 0.8, 0.92),
    Person("Celia", "Marsh", (COC,), FELD, Line.RAMP, 5, 108, 2.0, 2.8, 0.8, 0.88),
    Person("Dario", "Venn", (ALC, COC), FELD, Line.SPIKE, 8, 118, 2.4, 2.6, 0.9, 0.90),
    Person("Edda", "Rowe", (OPI,), ANAND, Line.SILENT, 4, 116, 2.6, 3.2, 0.9, 0.85),
    Person("Felix", "Amador", (ALC,), ANAND, Line.NOISY, 0, 60, 3.6, 3.8, 1.7, 0.86, away=IN_HOSPITAL),
    Person("Greta", "Lindqvist", (ALC,), HOLT, Line.WANES, 6, 60, 2.6, 2.6, 0.7, 0.90, relief=2.6),
    Person("Hugo", "Barros", (COC,), HOLT, Line.LATE_SYNC, 3, 111, 2.2, 2.6, 0.8, 0.90),
    Person("Iris", "Tamm", (OPI,), FELD, Line.STEADY, 12, 60, 1.8, 2.4, 0.7, 0.93),
    Person("Jasper", "Okoro", (ALC,), FELD, Line.STEP, 1, 62, 2.0, 2.6, 0.8, 0.88),
    Person("Kaya", "Brandt", (ALC,), ANAND, Line.RAMP, 10, 58, 2.3, 3.0, 0.9, 0.84),
    Person("Leon", "Duarte", (OPI, ALC), ANAND, Line.SPIKE, 7, 84, 2.4, 2.8, 0.9, 0.90),
    Person("Mira", "Salonen", (ALC,), HOLT, Line.IMPROVES, 20, 50, 2.0, 2.4, 0.8, 0.94, leaves=114),
    Person("Nils", "Ferro", (COC,), HOLT, Line.STEADY, 25, 60, 2.2, 2.6, 0.8, 0.78, "America/Denver", away=TRAVELS),
    Person("Odile", "Kerr", (ALC,), FELD, Line.WANES, 18, 60, 2.4, 2.8, 0.7, 0.90, relief=2.6),
    Person("Pablo", "Wynn", (OTH,), FELD, Line.NOISY, 15, 60, 3.2, 3.4, 1.5, 0.82),
    Person("Runa", "Havel", (ALC,), ANAND, Line.SILENT, 30, 88, 2.2, 2.8, 0.8, 0.86),
    Person("Silas", "Monk", (COC, ALC), ANAND, Line.STEADY, 40, 60, 2.4, 2.6, 0.8, 0.90),
    Person("Thea", "Novak", (ALC,), HOLT, Line.LATE_SYNC, 50, 94, 2.0, 2.6, 0.8, 0.88),
    Person("Uriel", "Banks", (OPI,), FELD, Line.STEADY, 101, 160, 2.8, 3.0, 0.9, 0.92),
    Person("Vera", "Sandoval", (ALC,), ANAND, Line.IMPROVES, 110, 130, 2.4, 2.8, 0.8, 0.95),
    Person("Wanda", "Eriksen", (ALC,), HOLT, Line.STEADY, 60, 170, 2.2, 2.6, 0.8, 0.90, visitor=True),
    Person("Xavier", "Pell", (COC,), FELD, Line.STEADY, 70, 180, 2.2, 2.6, 0.8, 0.90, visitor=True),
    Person("Yara", "Lowell", (OPI, ALC), ANAND, Line.STEADY, 80, 190, 2.2, 2.6, 0.8, 0.90, visitor=True),
)

# A client who joins at every start of the demonstration, and whose answer of that day crosses the limit.
FRESH_GIVEN_NAMES = ("Zoran", "Anneke", "Basil", "Corin", "Delphine", "Emeric", "Fiona", "Gideon", "Hedda", "Ivo")
FRESH_FAMILY_NAMES = ("Adair", "Beaufort", "Calloway", "Dray", "Ekman", "Fairley", "Grove")

NOTES_GOOD = (
    "Slept well. Walked to work instead of past the shop.",
    "Quiet day. Cooked dinner with my sister.",
    "Felt like myself again for a few hours.",
    "Group was good today. I talked for once.",
    "Did not think about it until now, when you asked.",
    "Back at the allotment. Hands in soil helps.",
)
NOTES_PLAIN = (
    "Nothing special.",
    "Long shift, tired.",
    "Some urges around six, went away after a call.",
    "Bad night, better afternoon.",
    "Argued at home, then talked it over.",
)
NOTES_HARD = (
    "Strong urges all evening. Stayed in.",
    "Drove past the old place twice. Did not stop.",
    "Not sleeping. Everything feels close again.",
    "I am ashamed to write this number.",
    "Could not sit still today.",
    "It is back like before the infusions.",
)
NOTES_AFTER_USE = (
    "I used yesterday. I want to talk about it.",
    "Slipped. Told my brother.",
    "One evening, then stopped. Angry with myself.",
)

STAFF_NOTES = (
    "Called, talked for ten minutes. Sleep is the main problem; agreed on a walk in the evening.",
    "Reached on the second try. Stress at work, no use. Sees me on Thursday.",
    "Left a message, called back in the afternoon. Wants to bring the session forward.",
    "Talked about triggers at home. Partner is with them this week.",
    "Known pattern before the booster; told the prescriber.",
)
