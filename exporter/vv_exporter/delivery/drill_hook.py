"""The generic webhook's part in a drill: it is served by the exporter's own outbox, and not by Alertmanager."""

from __future__ import annotations

import msgspec

from vv_exporter.delivery.notifications import NotifiedAlert
from vv_exporter.delivery.parcels import OK, Parcel
from vv_exporter.delivery.webhook import OUTBOX
from vv_exporter.drills.failure import WEBHOOK_REFUSED
from vv_exporter.drills.state import DRILLS, accept_drill, fail_drill, is_drill
from vv_exporter.state.store import Transaction


class _Event(msgspec.Struct, frozen=True):
    """What is read of it: an event may be older than this version."""

    alert_id: str = ""


_event = msgspec.json.Decoder(_Event)


def is_for_webhook(alert: NotifiedAlert) -> bool:
    """Whether the webhook gets an alert: all but the drill of another channel."""
    labels = alert.labels
    return not is_drill(labels) or labels.get("channel", OUTBOX.destination) == OUTBOX.destination


def note_parcel(tx: Transaction, parcel: Parcel, result: str) -> None:
    """The webhook has taken an event, or refused it for good: if it was of a drill, that is the answer."""
    if tx.count(DRILLS) == 0 or parcel.headers.get("VV-Alert-Status") != "firing":
        return
    drill = tx.get(DRILLS, _event.decode(parcel.body).alert_id)
    if drill is None:
        return
    if result == OK:
        accept_drill(tx, drill.id, OUTBOX.destination, tx.now)
    else:
        fail_drill(tx, drill.id, OUTBOX.destination, WEBHOOK_REFUSED)
