"""The channels by which people and machines outside the inbox are told: one file a channel, and the list of them."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.alert import Channel
from service.config import Config
from service.notify import push
from service.notify.email import Email
from service.notify.message import (
    Attachment,
    Counts,
    Dead,
    Disable,
    Event,
    Message,
    Notifier,
    Result,
    Retry,
    Sent,
    Template,
)
from service.notify.push import Push, VapidKey
from service.notify.webhook import Webhook

__all__ = [
    "VAPID",
    "Attachment",
    "Counts",
    "Dead",
    "Disable",
    "Event",
    "Message",
    "Notifier",
    "Result",
    "Retry",
    "Sent",
    "Template",
    "VapidKey",
    "notifiers",
]

# What the deployment's key for push services is derived for.
VAPID = "push.vapid"


def notifiers(config: Config, vapid: VapidKey) -> Mapping[Channel, Notifier]:
    """Every channel, ready to send as the settings say."""
    channels: tuple[Notifier, ...] = (
        Push(
            key=vapid,
            contact=push.contact_of(mail_from=config.mail_from, base_url=config.base_url),
            allowed=config.webhook_allow,
        ),
        Email.of(config),
        Webhook(allowed=config.webhook_allow),
    )
    return {each.channel: each for each in channels}
