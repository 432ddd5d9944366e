"""The channels by which people and machines outside the inbox are told: one file a channel, and the list of them."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.alert import Channel
from service.config import Config
from service.notify.email import Email
from service.notify.message import Dead, Disable, Message, Notifier, Result, Retry, Sent, Template
from service.notify.webhook import Webhook

__all__ = ["Dead", "Disable", "Message", "Notifier", "Result", "Retry", "Sent", "Template", "notifiers"]


def notifiers(config: Config) -> Mapping[Channel, Notifier]:
    """Every channel, ready to send as the settings say."""
    return {each.channel: each for each in (Email.of(config), Webhook(allowed=config.webhook_allow))}
