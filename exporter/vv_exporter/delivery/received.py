"""What Alertmanager notifies the exporter of, kept: the record, the accounts, and what the generic webhook is told."""

from __future__ import annotations

from vv_exporter.delivery import webhook
from vv_exporter.delivery.drill_hook import is_for_webhook
from vv_exporter.delivery.notifications import Notification, continued, record
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction


def receive(tx: Transaction, notification: Notification, settings: Settings) -> Notification:
    """Keep it. Gives it as it is to be shown: what goes on with its first start."""
    notification = continued(tx, notification)
    record(tx, notification)
    if settings.webhook_url:
        links = webhook.Links(settings.public_url, settings.silence_form)
        for alert in filter(is_for_webhook, notification.alerts):
            webhook.tell(tx, alert, links)
    return notification
