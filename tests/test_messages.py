"""Messages at the desk: browsers that take them, receipts, links that lead on, languages, and webhook endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import standardwebhooks

from schemas.alert import Channel, Delivery, DeliveryState, EventKind
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, ids
from service.alerting import alert_states, deliveries, receipts
from service.alerting.writing import Sending
from service.config import Config
from service.database import Pool
from service.notify.email import Email
from service.notify.webhook import Webhook
from service.people import clients, webhook_endpoints
from tests import senders
from tests.builders import MASTER, a_client, a_clinic
from tests.desk import a_person, a_session, an_alert
from tests.desk_visit import Desk, a_desk
from tests.push_browsers import a_browser
from tests.sinks import a_hook_sink, a_mail_sink


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


async def a_sent_message(desk: Desk) -> tuple[UUID, Delivery]:
    """An alert of a client of the person's, and the e-mail that told them."""
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db)
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now)
        alert_id = await an_alert(db, client_id)
        await db.execute(
            "update delivery set state = 'sent', attempts = 1, settled_at = $2 where clinic_id = $1", db.clinic_id, now
        )
        [message] = await deliveries.of_alert(db, alert_id)
    return alert_id, message


async def now_is(desk: Desk, alert_id: UUID) -> Delivery:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        return (await deliveries.of_alert(db, alert_id))[0]


async def test_a_link_counts_as_opened_for_its_recipient_signed_in_and_for_nobody_else(desk: Desk) -> None:
    alert_id, message = await a_sent_message(desk)
    address = f"/messages/{message.delivery_id}"
    scanned = await desk.http.get(address)
    assert (scanned.status_code, "/sign-in" in scanned.headers["location"]) == (303, True)
    assert address in scanned.headers["location"], "whoever signs in now is led on"
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        other = await a_session(db, await a_person(db, Role.NURSE))
    forwarded = await desk.http.get(address, headers=other.cookie)
    assert forwarded.headers["location"] == "/caseload"
    ahead = await desk.get(address, **{"Sec-Purpose": "prefetch;prerender"})
    assert ahead.headers["location"] == f"/alerts/{alert_id}"
    assert (await now_is(desk, alert_id)).state is DeliveryState.SENT
    followed = await desk.get(address)
    assert followed.headers["location"] == f"/alerts/{alert_id}"
    opened = await now_is(desk, alert_id)
    assert opened.state is DeliveryState.OPENED
    assert opened.opened_at is not None
    assert ", opened " in (await desk.get(f"/alerts/{alert_id}")).text
    assert "1 opened it" in (await desk.get("/inbox")).text
    [line] = (await desk.http.get(f"/v1/alerts/{alert_id}/deliveries", headers=desk.person.bearer)).json()["items"]
    assert (line["state"], line["to"], line["channel"]) == ("opened", "Maren Holt", "email")


BESIDE = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state, attempts, due_at, created_at, sent_with
)
select clinic_id, gen_random_uuid(), kind, alert_id, 'push', staff_id, round, step, 'sent', 1, due_at, created_at,
  delivery_id
from delivery
where delivery_id = $1
"""


async def test_a_message_that_told_of_several_leads_to_the_inbox(desk: Desk) -> None:
    _, message = await a_sent_message(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await db.execute(BESIDE, message.delivery_id)
    address = f"/messages/{message.delivery_id}"
    for headers in ({"Sec-Purpose": "prefetch"}, {}):
        assert (await desk.get(address, **headers)).headers["location"] == "/inbox"


async def test_a_receipt_says_that_a_message_has_arrived_and_a_forged_one_nothing(desk: Desk) -> None:
    alert_id, message = await a_sent_message(desk)
    receipt = receipts.receipt_of(MASTER, desk.clinic.clinic_id, message.delivery_id)
    forged = receipts.receipt_of(MASTER, desk.clinic.clinic_id, ids.new())[:-1] + "x"
    assert (await desk.http.post("/v1/receipts", json={"receipt": forged})).status_code == 401
    for _ in range(2):
        assert (await desk.http.post("/v1/receipts", json={"receipt": receipt})).status_code == 204
    arrived = await now_is(desk, alert_id)
    assert arrived.state is DeliveryState.DELIVERED
    assert ", arrived " in (await desk.get(f"/alerts/{alert_id}")).text
    await desk.get(f"/messages/{message.delivery_id}")
    await desk.http.post("/v1/receipts", json={"receipt": receipt})
    assert (await now_is(desk, alert_id)).state is DeliveryState.OPENED, "a late receipt takes nothing back"


async def test_a_browser_subscribes_once_and_is_ended_by_its_owner_alone(desk: Desk) -> None:
    browser = a_browser(9)
    browser.endpoint = "https://push.example/x"
    body = msgspec.json.decode(browser.subscription)
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
    by_page = desk.person.cookie | agent | {"X-CSRF-Token": desk.person.csrf_token}
    assert (await desk.http.post("/v1/push-subscriptions", json=body, headers=desk.person.cookie)).status_code == 400
    made = await desk.http.post("/v1/push-subscriptions", json=body, headers=by_page)
    again = await desk.http.post("/v1/push-subscriptions", json=body, headers=by_page)
    assert (made.status_code, again.status_code, made.json()) == (201, 200, again.json())
    assert made.json()["label"] == "Firefox on a computer"
    inner = body | {"endpoint": "https://169.254.169.254/latest"}
    assert (await desk.http.post("/v1/push-subscriptions", json=inner, headers=by_page)).status_code == 400
    listed = (await desk.http.get("/v1/push-subscriptions", headers=desk.person.bearer)).json()
    assert [each["subscription_id"] for each in listed["items"]] == [made.json()["subscription_id"]]
    page = (await desk.get("/account")).text
    assert f'data-key="{listed["key"]}"' in page
    assert "Firefox on a computer" in page
    address = f"/v1/push-subscriptions/{made.json()['subscription_id']}"
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        other = await a_session(db, await a_person(db, Role.NURSE))
    assert (await desk.http.delete(address, headers=other.bearer)).status_code == 404
    assert (await desk.http.delete(address, headers=desk.person.bearer)).status_code == 204
    assert "Firefox on a computer" not in (await desk.get("/account")).text
    worker = await desk.http.get("/messages/worker.js")
    assert worker.headers["content-type"].startswith("text/javascript")


async def test_whoever_chose_spanish_is_written_to_in_spanish(desk: Desk, jobs_pool: Pool) -> None:
    assert (await desk.post("/account/language", language="xx")).status_code == 400
    assert (await desk.post("/account/language", language="es")).status_code == 303
    _, _ = await a_sent_message(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await db.execute("update delivery set state = 'queued' where clinic_id = $1", db.clinic_id)
    async with a_mail_sink() as sink:
        email = Email(host="127.0.0.1", port=sink.port, security="none", sender="n@x.example", user=None, password=None)
        sending = Sending({Channel.EMAIL: email}, MASTER, "https://neap.example")
        await senders.deliver(jobs_pool, desk.clinic.clinic_id, sending, now=datetime.now(UTC))
    [mail] = sink.messages
    assert (mail["subject"], mail["content-language"]) == ("Nuevo aviso en la bandeja", "es")
    assert "https://neap.example/messages/" in mail.get_content()


async def test_an_admin_gives_an_endpoint_a_new_secret_and_enables_it_again(desk: Desk) -> None:
    http, who = desk.http, desk.person.bearer
    made = await http.post("/v1/webhook-endpoints", json={"url": "https://hooks.example/neap"}, headers=who)
    refused = await http.post("/v1/webhook-endpoints", json={"url": "https://10.0.0.1/"}, headers=who)
    assert (made.status_code, refused.status_code) == (201, 400)
    one = f"/v1/webhook-endpoints/{made.json()['endpoint_id']}"
    rotated = (await http.post(f"{one}/rotate", headers=who)).json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made.json()["secret"]
    assert (await http.post(f"{one}/disable", headers=who)).status_code == 204
    [line] = (await http.get("/v1/webhook-endpoints", headers=who)).json()["items"]
    assert (line["disabled_why"], line["previous_until"] is None) == ("by an admin", False)
    page = (await desk.get("/settings")).text
    assert "Enable again" in page
    assert "the secret before signs, too, until" in page
    assert "whsec_" not in page
    assert (await desk.post(f"/settings/webhooks/{line['endpoint_id']}/enable")).status_code == 303
    [line] = (await http.get("/v1/webhook-endpoints", headers=who)).json()["items"]
    assert line["disabled_at"] is None
    again = (await desk.post(f"/settings/webhooks/{line['endpoint_id']}/rotate")).text
    assert "For 24 hours" in again
    assert "The secret before that one signs no more" in again, "it was to sign until tomorrow"
    assert (await http.post(f"/v1/webhook-endpoints/{ids.new()}/enable", headers=who)).status_code == 404


async def test_an_admin_says_whose_an_endpoint_is_when_it_is_added_and_later(desk: Desk) -> None:
    http, who = desk.http, desk.person.bearer

    async def outside() -> list[bool]:
        return [each["outside"] for each in (await http.get("/v1/webhook-endpoints", headers=who)).json()["items"]]

    own = await http.post("/v1/webhook-endpoints", json={"url": "https://own.example/"}, headers=who)
    form = {"url": "https://elsewhere.example/", "outside": True}
    assert (await http.post("/v1/webhook-endpoints", json=form, headers=who)).status_code == 201
    await desk.post("/settings/webhooks", url="https://further.example/", outside="yes")
    await desk.post("/settings/webhooks", url="https://own.example/too")
    assert await outside() == [False, True, True, False]
    page = (await desk.get("/settings")).text
    assert page.count('<span class="tag">outside the clinic</span>') == 2
    endpoint_id = own.json()["endpoint_id"]
    one = f"/v1/webhook-endpoints/{endpoint_id}/outside"
    assert (await http.post(one, json={"outside": True}, headers=who)).status_code == 204
    assert await outside() == [True, True, True, False]
    assert (await desk.post(f"/settings/webhooks/{endpoint_id}/outside", outside="no")).status_code == 303
    assert await outside() == [False, True, True, False]
    assert (await desk.post(f"/settings/webhooks/{endpoint_id}/outside", outside="")).status_code == 400
    assert (await http.post(one, json={}, headers=who)).status_code == 400
    gone = f"/v1/webhook-endpoints/{ids.new()}/outside"
    assert (await http.post(gone, json={"outside": True}, headers=who)).status_code == 404
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        rows = await db.connection.fetch(
            "select action from audit_event where object_id = $1 order by audit_event_id", UUID(endpoint_id)
        )
    told = ["webhook_endpoint.add", "webhook_endpoint.set_outside", "webhook_endpoint.set_inside"]
    assert [row["action"] for row in rows] == told


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def test_both_secrets_sign_for_a_day_after_a_rotation(owner_pool: Pool, clinic: Clinic, jobs_pool: Pool) -> None:
    now = datetime.now(UTC)
    async with a_hook_sink() as sink:
        sending = Sending(
            {Channel.WEBHOOK: Webhook(allowed={f"127.0.0.1:{sink.port}"})}, MASTER, "https://neap.example"
        )
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            endpoint_id, old = await webhook_endpoints.add(db, MASTER, f"http://127.0.0.1:{sink.port}/x", now=now)
            new = await webhook_endpoints.rotate(db, MASTER, endpoint_id, now=now)
            await an_alert(db, await a_client(db))
        await senders.deliver(jobs_pool, clinic.clinic_id, sending, now=datetime.now(UTC))
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            await an_alert(db, await a_client(db))
            await db.execute(
                "update webhook_endpoint set previous_until = $2 where clinic_id = $1", db.clinic_id, now - timedelta(1)
            )
        await senders.deliver(jobs_pool, clinic.clinic_id, sending, now=datetime.now(UTC))
    during, after = sink.hooks
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(during.body, during.headers)
    standardwebhooks.Webhook(new).verify(after.body, after.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(old).verify(after.body, after.headers)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (None, "alert.opened"),
        (EventKind.RAISED, "alert.raised"),
        (EventKind.REOPENED, "alert.reopened"),
        (EventKind.LEASE_LAPSED, "alert.lapsed"),
    ],
)
async def test_a_webhook_says_what_began_the_round(
    owner_pool: Pool, clinic: Clinic, jobs_pool: Pool, kind: EventKind | None, event: str
) -> None:
    now = datetime.now(UTC)
    async with a_hook_sink() as sink:
        sending = Sending(
            {Channel.WEBHOOK: Webhook(allowed={f"127.0.0.1:{sink.port}"})}, MASTER, "https://neap.example"
        )
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            await webhook_endpoints.add(db, MASTER, f"http://127.0.0.1:{sink.port}/x", now=now)
            alert_id = await an_alert(db, await a_client(db))
            if kind is not None:
                await alert_states.record(db, alert_id, kind, now=now)
                # What comes after the message was written is none of its business.
                await alert_states.record(db, alert_id, EventKind.RAISED, now=now + timedelta(hours=1))
                await db.execute("update delivery set created_at = $2 where clinic_id = $1", db.clinic_id, now)
        await senders.deliver(jobs_pool, clinic.clinic_id, sending, now=now + timedelta(minutes=1))
    [hook] = sink.hooks
    said = msgspec.json.decode(hook.body)
    assert said["type"] == event
    assert receipts.read(said["data"]["receipt"], MASTER)[0] == clinic.clinic_id
    assert said["data"]["alert_id"] == str(alert_id)
