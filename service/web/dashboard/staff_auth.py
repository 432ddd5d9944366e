"""Signing in and out: password, second factor, one-time links."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import segno
from litestar import Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery

from schemas.staff import SessionStage
from service import database, errors
from service.people import access, clinics, sign_in, sign_in_throttle, staff_sessions, totp
from service.people.access import Permission
from service.people.clinics import ClinicView
from service.people.sign_in import Door
from service.people.staff_sessions import SignedIn
from service.web import desk_page, page_problems, problems
from service.web.desk_session import COOKIE, SignedInAt, credential_of, form_of, refuse_cross_site, refuse_forged
from service.web.page_problems import CLINIC_COOKIE
from service.web.pages import go_to, local_path
from service.web.services import Services
from service.web.visitors import remember, visitor_of

OPEN = {"access": Permission.COME_IN}
HALF_WAY = {"access": Permission.FINISH_SIGN_IN}
A_YEAR_SECONDS = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class HalfWay:
    """A person between password and second factor."""

    who: SignedIn
    clinic_id: UUID
    view: ClinicView


async def half_way(
    request: Request[Any, Any, Any], services: NamedDependency[Services], now: NamedDependency[datetime]
) -> HalfWay:
    """Whoever holds a session, at any stage. Raises Unauthenticated, and Invalid for a forged form."""
    token, by_cookie = credential_of(request)
    async with database.transaction(services.pool, token.clinic_id) as db:
        who = await staff_sessions.current(db, token.digest, now=now)
    view = await services.views.get(token.clinic_id)
    if by_cookie and request.method == "POST":
        await refuse_forged(request, SignedInAt(who, view), services)
    return HalfWay(who, token.clinic_id, view)


def door_of(services: Services) -> Door:
    """What signing in needs of the process."""
    return Door(services.pool, services.master, services.passwords)


@get("/", opt=OPEN)
async def go_home(
    request: Request[Any, Any, Any], services: NamedDependency[Services], now: NamedDependency[datetime]
) -> Response[Any]:
    """The desk's own front door: to where this person begins, or to signing in. Raises Unauthenticated."""
    who = await _signed_in(request, services, now)
    if who is None:
        raise errors.Unauthenticated("Please sign in.")
    return go_to(desk_page.home_of(who.parties))


@get("/sign-in", opt=OPEN)
async def ask_for_clinic(services: NamedDependency[Services], clinic: FromQuery[str | None] = None) -> Response[Any]:
    """Which clinic's sign-in page? Only whoever works there knows its short name."""
    if clinic:
        return go_to(f"/{quote(clinic.strip().lower(), safe='')}/sign-in")
    return services.pages.show("which_clinic.html", {"fictional": services.config.demo})


# Why a page that asks by itself led here. Whose session somebody else ended learns of nobody's doing.
ENDED = {
    "idle": "You were signed out because nothing happened for 15 minutes.",
    "over": "You were signed out because one sign-in lasts 12 hours. Sign in again to go on.",
    "yes": "You are signed out. Sign in again to go on.",
}


@get("/{slug:str}/sign-in", opt=OPEN)
async def show_sign_in(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    slug: FromPath[str],
    next: FromQuery[str | None] = None,  # noqa: A002 - the name in the address
    ended: FromQuery[str | None] = None,
) -> Response[Any]:
    """The sign-in page of one clinic; whoever is signed in goes on."""
    view = await _clinic_of(services, slug)
    who = await _signed_in(request, services, now) if COOKIE in request.cookies else None
    if who is not None:
        return go_to(desk_page.home_of(who.parties, next))
    return _sign_in_page(services, view, next=next, message=ENDED.get(ended or ""))


@post("/{slug:str}/sign-in", opt=OPEN)
async def take_password(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    slug: FromPath[str],
) -> Response[Any]:
    """Password right: on to the second factor."""
    refuse_cross_site(request)
    view, form = await _clinic_of(services, slug), await form_of(request)
    wanted = form.get("next")
    try:
        token = await sign_in.with_password(
            door_of(services),
            view.clinic.clinic_id,
            visitor_of(request),
            email=form.get("email", ""),
            password=form.get("password", ""),
            now=now,
        )
    except (errors.Unauthenticated, errors.TooMany) as refusal:
        return _sign_in_page(services, view, next=wanted, email=form.get("email", ""), refusal=refusal)
    return with_session(go_to("/sign-in/code" + _next_query(wanted)), token, view)


@get("/sign-in/code", opt=HALF_WAY)
async def show_code(
    services: NamedDependency[Services],
    half: NamedDependency[HalfWay],
    next: FromQuery[str | None] = None,  # noqa: A002
) -> Response[Any]:
    """Ask for the second factor, or go where the sign-in stands."""
    if half.who.stage is SessionStage.ENROL_TOTP:
        return go_to("/sign-in/authenticator" + _next_query(next))
    if half.who.stage is SessionStage.FULL:
        return go_to(desk_page.home_of(half.who.parties, next))
    return _half_way_page(services, half, "code.html", next=next)


@post("/sign-in/code", opt=HALF_WAY)
async def take_code(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    half: NamedDependency[HalfWay],
    now: NamedDependency[datetime],
) -> Response[Any]:
    """Second factor right: signed in."""
    form = await form_of(request)
    try:
        token = await sign_in.with_code(
            door_of(services), half.clinic_id, visitor_of(request), half.who, form.get("code", ""), now=now
        )
    except (errors.Unauthenticated, errors.TooMany) as refusal:
        return _half_way_page(services, half, "code.html", next=form.get("next"), refusal=refusal)
    reply = with_session(go_to(desk_page.home_of(half.who.parties, form.get("next"))), token, half.view)
    return _known_from_now_on(reply, request, services, half)


@get("/sign-in/authenticator", opt=HALF_WAY)
async def show_authenticator(services: NamedDependency[Services], half: NamedDependency[HalfWay]) -> Response[Any]:
    """Show the secret for an authenticator app, as a QR code and as text."""
    if half.who.stage is not SessionStage.ENROL_TOTP:
        return go_to("/sign-in/code")
    return await _authenticator_page(services, half)


@post("/sign-in/authenticator", opt=HALF_WAY)
async def take_first_code(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    half: NamedDependency[HalfWay],
    now: NamedDependency[datetime],
) -> Response[Any]:
    """The authenticator proved itself: signed in, and the recovery codes are shown this once."""
    form = await form_of(request)
    try:
        token, codes = await sign_in.confirm_totp(
            door_of(services), half.clinic_id, visitor_of(request), half.who, form.get("code", ""), now=now
        )
    except (errors.Unauthenticated, errors.TooMany) as refusal:
        return await _authenticator_page(services, half, refusal=refusal)
    leads = access.may(half.who.parties, Permission.MANAGE_SETTINGS)
    page = _half_way_page(services, half, "recovery_codes.html", codes=codes, leads=leads)
    reply = with_session(page, token, half.view)
    return _known_from_now_on(reply, request, services, half)


def _known_from_now_on(
    reply: Response[Any], request: Request[Any, Any, Any], services: Services, half: HalfWay
) -> Response[Any]:
    return remember(reply, request, sign_in_throttle.mark_of(services.master, half.clinic_id, half.who.staff_id))


@post("/sign-out", opt=HALF_WAY)
async def sign_out(services: NamedDependency[Services], half: NamedDependency[HalfWay]) -> Response[Any]:
    """End this session, and have the browser forget what it kept."""
    async with database.transaction(services.pool, half.clinic_id) as db:
        await staff_sessions.end(db, half.who.session_hash)
    reply = go_to(f"/{half.view.clinic.slug}/sign-in")
    reply.headers["Clear-Site-Data"] = '"cache"'
    reply.delete_cookie(COOKIE, path="/")
    return reply


async def _clinic_of(services: Services, slug: str) -> ClinicView:
    async with database.across_clinics(services.pool) as connection:
        clinic = await clinics.find_by_slug(connection, slug)
    if clinic is None:
        raise errors.NotFound("There is no clinic of this name here.")
    return await services.views.get(clinic.clinic_id)


async def _signed_in(request: Request[Any, Any, Any], services: Services, now: datetime) -> SignedIn | None:
    try:
        token, _ = credential_of(request)
        async with database.transaction(services.pool, token.clinic_id) as db:
            who = await staff_sessions.current(db, token.digest, now=now)
    except errors.Unauthenticated:
        return None
    return who if who.stage is SessionStage.FULL else None


def _sign_in_page(
    services: Services,
    view: ClinicView,
    *,
    next: str | None,  # noqa: A002
    email: str = "",
    message: str | None = None,
    refusal: errors.DomainError | None = None,
) -> Response[str]:
    context = {
        "clinic": view.clinic,
        "fictional": view.fictional,
        "next": local_path(next, ""),
        "email": email,
        "message": refusal.message if refusal else message,
        "refused": refusal is not None,
    }
    return _refusing(services.pages.show("sign_in.html", context), refusal)


def _half_way_page(
    services: Services,
    half: HalfWay,
    template: str,
    *,
    refusal: errors.DomainError | None = None,
    next: str | None = None,  # noqa: A002
    **more: object,
) -> Response[str]:
    context = {
        "clinic": half.view.clinic,
        "fictional": half.view.fictional,
        "who": half.who,
        "csrf_token": half.who.csrf_token,
        "next": local_path(next, ""),
        "message": refusal.message if refusal else None,
        **more,
    }
    return _refusing(services.pages.show(template, context), refusal)


async def _authenticator_page(
    services: Services, half: HalfWay, *, refusal: errors.DomainError | None = None
) -> Response[str]:
    async with database.transaction(services.pool, half.clinic_id) as db:
        enrolment = await totp.enrolment_of(db, services.master, half.who.staff_id)
    qr = segno.make_qr(enrolment.uri).svg_inline(scale=5, dark="#000", light="#fff", omitsize=True)
    secret = " ".join(enrolment.secret[at : at + 4] for at in range(0, len(enrolment.secret), 4))
    return _half_way_page(services, half, "authenticator.html", refusal=refusal, qr=qr, secret=secret)


def _refusing(page: Response[str], refusal: errors.DomainError | None) -> Response[str]:
    """The page, with the status of the refusal that it tells, and when to come back."""
    if isinstance(refusal, errors.TooMany):
        page.status_code = 429
        page.headers.update(problems.retry_after(refusal))
    elif refusal is not None:
        page.status_code = 401
    return page


def _next_query(wanted: str | None) -> str:
    path = local_path(wanted, "")
    return f"?next={quote(path, safe='/')}" if path else ""


def with_session(reply: Response[Any], token: str, view: ClinicView) -> Response[Any]:
    """The reply with the session's cookie, and the one that remembers the clinic."""
    # Lax, not Strict: a link in an e-mail must find the session. Writing needs the CSRF token besides.
    reply.set_cookie(Cookie(COOKIE, path="/", value=token, httponly=True, secure=True, samesite="lax"))
    reply.set_cookie(
        Cookie(
            CLINIC_COOKIE,
            path="/",
            value=view.clinic.slug,
            httponly=True,
            secure=True,
            samesite="lax",
            max_age=A_YEAR_SECONDS,
        )
    )
    return reply


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            go_home,
            ask_for_clinic,
            show_sign_in,
            take_password,
            show_code,
            take_code,
            show_authenticator,
            take_first_code,
            sign_out,
        ],
        dependencies={"half": Provide(half_way)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
