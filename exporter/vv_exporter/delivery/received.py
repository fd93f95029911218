"""What Alertmanager notifies the exporter of, kept: the record, the accounts, and what the generic webhook gets."""

from __future__ import annotations

import msgspec

from vv_exporter.delivery import webhook
from vv_exporter.delivery.accounts import EVENT
from vv_exporter.delivery.drill_hook import is_for_webhook
from vv_exporter.delivery.notifications import Notification, NotifiedAlert, continued, record
from vv_exporter.settings import Settings
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Transaction


def receive(tx: Transaction, notification: Notification, settings: Settings) -> Notification:
    """Keep it. Gives it as it is to be shown: what goes on with its first start."""
    notification = continued(tx, _without_ends_of_leases(tx, notification))
    record(tx, notification)
    if settings.webhook_url:
        links = webhook.Links(settings.public_url, settings.silence_form)
        for alert in filter(is_for_webhook, notification.alerts):
            if not _is_queued_by_others(tx, alert):
                webhook.queue_event(tx, alert, links)
    return notification


def _without_ends_of_leases(tx: Transaction, notification: Notification) -> Notification:
    """What was handed to the direct way goes on, though what Alertmanager had of it has ended (`delivery/relay.py`)."""
    lasting = tuple(alert for alert in notification.alerts if not _is_end_of_lease(tx, alert))
    return msgspec.structs.replace(notification, alerts=lasting)


def _is_queued_by_others(tx: Transaction, alert: NotifiedAlert) -> bool:
    """Whether the webhook gets it from whoever told people directly: so it is, but for while the disk was full.

    The end by Alertmanager comes much later (`alert_path/direct_alerts.py`), and once more where it was restarted.
    """
    is_direct = alert.labels.get("told") == "direct" and alert.labels.get("alertname") != EVENT
    return is_direct and webhook.is_known(tx, alert)


def _is_end_of_lease(tx: Transaction, alert: NotifiedAlert) -> bool:
    labels = alert.labels
    if alert.status != "resolved" or labels.get("alertname") != EVENT or labels.keys() & {"told", "repeats"}:
        return False
    known = tx.get(ALERTS, labels.get("alert_key", ""))
    return known is not None and bool(known.direct) and known.occurrence_label == labels.get("occurrence", "")
