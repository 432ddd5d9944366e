"""The dependency behind every route of the staff: session, permission, forged requests, one transaction, the audit."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency

from schemas.staff import SessionStage
from service import base64url, database, errors
from service.database import Db
from service.keys import tokens
from service.people import access, audit, service_accounts, staff_sessions
from service.people.access import Permission, Reach
from service.people.clinics import ClinicView
from service.people.staff_sessions import SignedIn
from service.web.forms.refilling import PAGE_FIELD
from service.web.limits import Limit
from service.web.services import Services

COOKIE = "__Host-neap"
# Of one service account: a day's work sent at once takes some minutes.
PROGRAM_REQUESTS = Limit(600, per_seconds=60)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Sent by parts of a page that refresh themselves: they must not keep an abandoned desk signed in.
BY_ITSELF = "Neap-By-Itself"
# The fields of forms that may hold more than one line.
MOST_DIGITS = 9
LONG_TEXTS = frozenset({"note", "reason", "definition"})
# Embeddings, overrides and isolates of direction: what follows them reads the other way round.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters and a pattern of dots without a dot that have no shape.
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
OWN_PAGES = "pages of one person"


class OfEarlierSession(errors.Invalid):
    """A form of a page that the same person had opened before they signed in again: the page comes anew, filled in."""


class SignedInAt(NamedTuple):
    """A signed-in person and their clinic, left on the request for whatever goes wrong later."""

    who: SignedIn
    view: ClinicView


@dataclass(frozen=True, slots=True)
class Desk:
    """One request of a signed-in person: their transaction, who they are, and how far they may see."""

    db: Db
    who: SignedIn
    view: ClinicView
    services: Services
    now: datetime
    permission: Permission

    @property
    def actor(self) -> audit.Actor:
        """This person, for the audit trail."""
        return self.who.actor

    @property
    def recorder(self) -> UUID | None:
        """The person by whom a fact is recorded; None for a program, which the audit trail names instead."""
        return self.actor.staff_id

    @property
    def today(self) -> date:
        """The date on the clinic's clock: of other years than its, days are told with theirs."""
        return self.now.astimezone(self.view.zone).date()

    def may(self, permission: Permission) -> bool:
        """Whether the person has a permission, over some clients at least."""
        return access.may(self.who.parties, permission)

    def reach(self, permission: Permission | None = None) -> Reach:
        """How far a permission (by default the route's) reaches for the person. Raises NotFound without it."""
        return access.reach(self.who.staff_id, self.who.parties, permission or self.permission)

    def reach_or_none(self, permission: Permission) -> Reach | None:
        """How far a permission reaches for the person; None where they do not have it."""
        return self.reach(permission) if self.may(permission) else None

    async def reaches(self, permission: Permission, client_id: UUID) -> bool:
        """Whether the person has a permission over this client: a role alone does not say."""
        who = self.reach_or_none(permission)
        return who is not None and await access.covers_client(self.db, who, client_id, now=self.now)

    async def require_client(self, client_id: UUID) -> None:
        """Raises NotFound unless the route's permission reaches the client."""
        await access.require_client(self.db, self.reach(), client_id, now=self.now)

    async def record(self, action: str, *, client_id: UUID | None = None, object_id: UUID | None = None) -> None:
        """Append to the audit trail, in this transaction."""
        await audit.record(self.db, self.actor, action, client_id=client_id, object_id=object_id, now=self.now)


async def open_desk(
    request: Request[Any, Any, Any], services: NamedDependency[Services], now: NamedDependency[datetime]
) -> AsyncGenerator[Desk, None]:
    """The desk of a whole request, as `at_desk` opens it; commits before the reply is sent."""
    async with at_desk(request, services, now) as desk:
        yield desk


@asynccontextmanager
async def at_desk(request: Request[Any, Any, Any], services: Services, now: datetime) -> AsyncIterator[Desk]:
    """Open a request's desk: commits when the block ends, rolls back when it raises. What takes long (a chart drawn,
    a file written) comes after the block: inside it a database connection waits.

    Raises Unauthenticated without a full session, NotFound where the role lacks the route's permission (and writes
    every denial down), Invalid for a request that another site made the browser send.
    """
    permission = Permission(request.route_handler.opt["access"])
    token, by_cookie = _credential_of(request)
    # However slowly it arrives, no connection waits for it.
    await request.body()
    who: SignedIn | None = None
    try:
        async with database.transaction(services.pool, token.clinic_id) as db:
            who = await _current(request, db, token, now)
            if who.stage is not SessionStage.FULL:
                raise errors.Unauthenticated("Please finish signing in.")
            view = await services.views.get_within(db)
            if by_cookie and request.method not in SAFE_METHODS:
                await refuse_forged(request, SignedInAt(who, view), services)
            # For the page that tells of a refusal: it keeps its navigation.
            request.state.signed_in = SignedInAt(who, view)
            desk = Desk(db, who, view, services, now, permission)
            desk.reach()
            yield desk
    except access.OutOfReach:
        if who is not None:
            await _record_denial(request, services, token.clinic_id, who, permission, now)
        raise


async def _current(request: Request[Any, Any, Any], db: Db, token: tokens.Token, now: datetime) -> SignedIn:
    if token.kind == "service":
        PROGRAM_REQUESTS.hit(token.digest, now=now)
        return await service_accounts.current(db, token.digest, now=now)
    return await staff_sessions.current(db, token.digest, now=now, by_hand=BY_ITSELF not in request.headers)


def _credential_of(request: Request[Any, Any, Any]) -> tuple[tokens.Token, bool]:
    """Like `credential_of`; in the API, which programs may use as people do, the token of a program, too."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    of_program = scheme.lower() == "bearer" and bearer.strip().startswith("neap_service_")
    if of_program and request.url.path.startswith("/v1/"):
        return tokens.parse(bearer.strip(), "service"), False
    return credential_of(request)


def credential_of(request: Request[Any, Any, Any]) -> tuple[tokens.Token, bool]:
    """The session's token, and whether a cookie carried it. Raises Unauthenticated where there is none."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.parse(bearer.strip(), "session"), False
    return tokens.parse(request.cookies.get(COOKIE, ""), "session"), True


def page_token(sender: SignedInAt, services: Services) -> str:
    """What the forms of a person's pages hold: the session's own token, and a mark by which a later session of the same
    person, and of nobody else, knows a page of an earlier one. Without the master key nobody makes such a mark."""
    return f"{sender.who.csrf_token}.{_mark_of(sender, sender.who.csrf_token, services)}"


def _mark_of(sender: SignedInAt, csrf_token: str, services: Services) -> str:
    page = f"{sender.view.clinic.clinic_id}:{sender.who.staff_id}:{csrf_token}"
    return base64url.encode(services.master.keyed_hash(page.encode(), purpose=OWN_PAGES))


async def refuse_forged(request: Request[Any, Any, Any], sender: SignedInAt, services: Services) -> None:
    """Raises Invalid unless the request comes from a page of ours and holds the session's own token; OfEarlierSession,
    and leaves the sender for the page that comes anew, where it is a page of theirs and only its session is another."""
    refuse_cross_site(request)
    given = request.headers.get("x-csrf-token") or (await form_of(request)).get("csrf_token", "")
    csrf_token, _, mark = given.partition(".")
    if tokens.same(csrf_token, sender.who.csrf_token):
        return
    # What was typed belongs to whoever typed it: it is shown to nobody who signed in after them.
    if sender.who.stage is SessionStage.FULL and tokens.same(mark, _mark_of(sender, csrf_token, services)):
        request.state.signed_in = sender
        raise OfEarlierSession(
            "You have signed in again since this page was opened. Look how it stands, then press once more."
        )
    raise errors.Invalid(
        "This page is out of date, or somebody else has signed in in this browser since it was opened. "
        "Copy what you typed, then reload it."
    )


def refuse_cross_site(request: Request[Any, Any, Any]) -> None:
    """Raises Invalid where the browser says that another site sent this; programs say nothing and pass."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
    if foreign:
        raise errors.Invalid("This request came from another site.")


async def form_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The texts of a form; of several by one name the last. Raises Invalid for characters that nobody types."""
    return dict(await _texts_of(request))


def sent_id(form: Mapping[str, str]) -> UUID | None:
    """The id that the page gave its form, so that what is sent twice is done once; None where it gave none.

    Raises Invalid for what is no id.
    """
    try:
        return UUID(form["id"]) if form.get("id") else None
    except ValueError as error:
        fault = errors.FieldFault("id", "as the page gave it")
        raise errors.Invalid("Load the page anew and send it again.", fields=(fault,)) from error


def typed_number(text: str) -> int | str:
    """The whole number that was typed; what is none, or longer than any that is asked for, is left to be refused by
    the name of its field."""
    plain = text.strip()
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) <= MOST_DIGITS else plain


async def choices_of(request: Request[Any, Any, Any], name: str) -> list[str]:
    """Every value that a form has by one name: ticked boxes. Raises Invalid like `form_of`."""
    return [value for each, value in await _texts_of(request) if each == name]


async def _texts_of(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    form = await request.form()
    texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and name != PAGE_FIELD]
    untyped = dict.fromkeys(
        name if name.isprintable() else "a field's name"
        for name, value in texts
        if not (name.isprintable() and _typed(value, lines=name in LONG_TEXTS))
    )
    if untyped:
        said = "holds characters that cannot be seen or typed, as copied text may: type it by hand"
        faults = [errors.FieldFault(name, said) for name in untyped]
        raise errors.Invalid("The form was refused.", fields=faults)
    return texts


def _unseen(text: str) -> bool:
    return all(each in BLANK or unicodedata.category(each) in ("Cf", "Zs", "Zl", "Zp", "Mn") for each in text)


def _typed(text: str, *, lines: bool) -> bool:
    """Whether a text has neither control characters nor halves of characters; `lines` may be several, with tabs. One
    line, such as a name, has something to be seen, and turns nothing round that stands beside it."""
    if not lines and text.strip() and (_unseen(text) or not TURNING.isdisjoint(text)):
        return False
    allowed = "\t\r\n" if lines else ""
    return not any(unicodedata.category(each) in ("Cc", "Cs") and each not in allowed for each in text)


async def _record_denial(
    request: Request[Any, Any, Any],
    services: Services,
    clinic_id: UUID,
    who: SignedIn,
    permission: Permission,
    now: datetime,
) -> None:
    asked_for = next((value for value in request.path_params.values() if isinstance(value, UUID)), None)
    async with database.committed_now(services.pool, clinic_id) as db:
        await audit.record(
            db,
            who.actor,
            "access.denied",
            object_id=asked_for,
            allowed=False,
            reason=permission,
            now=now,
        )
