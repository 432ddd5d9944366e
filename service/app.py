"""The web process, wired: settings in, a Litestar application out. Readable top to bottom."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from service.config import Config
from service.keys.sealing import Sealer
from service.people.access import Permission
from service.web import calendar_feed, health, page_problems, phone, reminder_stop, request_ids, services, static_files
from service.web.api import (
    consent_api,
    device_api,
    directory_api,
    export_api,
    gate_api,
    infusion_api,
    instrument_api,
    openapi,
    phone_api,
    phone_settings_api,
    push_api,
    rota_api,
    rules_api,
    service_account_api,
    session_api,
    staff_api,
    treatment_api,
    webhook_api,
)
from service.web.dashboard import (
    account,
    alert_actions,
    api_pages,
    brief_pages,
    changes,
    chart_pages,
    client_admin,
    client_pages,
    clinic_pages,
    demo_mail,
    desk,
    gate_pages,
    help_pages,
    inbox_live,
    instrument_pages,
    instrument_settings_pages,
    link_pages,
    message_pages,
    operator_pages,
    problem_pages,
    quality_pages,
    rota_pages,
    rules_pages,
    service_account_pages,
    session_pages,
    staff_admin,
    staff_auth,
    staying,
    treatment_forms,
    treatment_pages,
)
from service.web.forms import form_replies, refused_forms
from service.web.services import Services

ROUTES: Sequence[ControllerRouterHandler] = (
    *health.ROUTES,
    *openapi.ROUTES,
    *api_pages.ROUTES,
    *problem_pages.ROUTES,
    *phone_api.ROUTES,
    *instrument_api.ROUTES,
    *device_api.ROUTES,
    *phone.ROUTES,
    *static_files.ROUTES,
    *staff_auth.ROUTES,
    *staying.ROUTES,
    *link_pages.ROUTES,
    *account.ROUTES,
    *message_pages.ROUTES,
    *phone_settings_api.ROUTES,
    *push_api.ROUTES,
    *webhook_api.ROUTES,
    *service_account_api.ROUTES,
    *directory_api.ROUTES,
    *service_account_pages.ROUTES,
    *clinic_pages.ROUTES,
    *operator_pages.ROUTES,
    *desk.ROUTES,
    *changes.ROUTES,
    *client_pages.ROUTES,
    *chart_pages.ROUTES,
    *help_pages.ROUTES,
    *inbox_live.ROUTES,
    *instrument_pages.ROUTES,
    *instrument_settings_pages.ROUTES,
    *alert_actions.ROUTES,
    *client_admin.ROUTES,
    *treatment_pages.ROUTES,
    *treatment_forms.ROUTES,
    *staff_admin.ROUTES,
    *staff_api.ROUTES,
    *treatment_api.ROUTES,
    *infusion_api.ROUTES,
    *gate_pages.ROUTES,
    *session_pages.ROUTES,
    *brief_pages.ROUTES,
    *quality_pages.ROUTES,
    *rules_pages.ROUTES,
    *rota_api.ROUTES,
    *rota_pages.ROUTES,
    *rules_api.ROUTES,
    *gate_api.ROUTES,
    *consent_api.ROUTES,
    *export_api.ROUTES,
    *session_api.ROUTES,
    *calendar_feed.ROUTES,
    *reminder_stop.ROUTES,
    *demo_mail.ROUTES,
)


def create(config: Config, master: Sealer | None = None) -> Litestar:
    """The application; `master` where the key was proved already. Raises NotReady at start-up where it is another's."""

    @asynccontextmanager
    async def held_open(app: Litestar) -> AsyncIterator[None]:
        async with services.opened(app.state.config, master) as opened:
            app.state.services = opened
            yield

    app = Litestar(
        route_handlers=list(ROUTES),
        lifespan=[held_open],
        state=State({"config": config}),
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "now": Provide(_now, sync_to_thread=False),
        },
        exception_handlers={Exception: page_problems.handle_stray},
        openapi_config=None,
        request_max_body_size=phone_api.SINGLE_BODY_BYTES,
        logging_config=None,
    )
    refuse_undeclared(app)
    app.asgi_handler = request_ids.carried(form_replies.led_on(refused_forms.carried(app.asgi_handler)))
    return app


def _services(state: State) -> Services:
    held: Services = state.services
    return held


def _now() -> datetime:
    return datetime.now(UTC)


def refuse_undeclared(app: Litestar) -> None:
    """Raise where a route does not say who may come: nothing is open because somebody forgot."""
    undeclared = [
        f"{sorted(handler.http_methods)} {route.path}"
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if not isinstance(handler.opt.get("access"), Permission) and handler.http_methods != {"OPTIONS"}
    ]
    if undeclared:
        raise RuntimeError(f"routes that do not declare their access: {', '.join(undeclared)}")
