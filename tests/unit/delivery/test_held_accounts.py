"""While the alert path is broken, what Alertmanager holds is no judgement: no account ends by it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.alert_path.state import PathState
from vv_exporter.alerting import SETTLED_IN, Delivery, Outside
from vv_exporter.context import Context
from vv_exporter.delivery.accounts import ACCOUNTS, Account
from vv_exporter.settings import load
from vv_exporter.state.store import Store


class NothingHeld:
    """An Alertmanager without alerts."""

    def alerts(self) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(
    ("verdict", "ends"), [(PathState(closed=True), True), (PathState(since=1.0, hop="not stored"), False)]
)
def test_an_account_ends_only_while_the_alert_path_is_whole(tmp_path: Path, verdict: PathState, ends: bool) -> None:
    clock = Clock()
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": "", "SLACK_WEBHOOK_URL": "http://127.0.0.1:9/s"})
    store = Store(tmp_path / "state.db", clock)
    context = Context(settings, store, clock, clock)
    delivery = Delivery(context, replace(Outside.of(context), alertmanager=NothingHeld()))  # type: ignore[arg-type]
    context.beats.verdict = verdict
    account = Account(
        fingerprint="ab", alertname="A", severity="error", component="c", title="T", fired=1.0, started=1.0
    )
    with store.transaction() as tx:
        tx.put(ACCOUNTS, account.id, account)
    clock.advance(2 * SETTLED_IN)

    delivery._reconcile_accounts()
    assert not store.docs(ACCOUNTS)[account.id].ended  # Alertmanager may be about to tell that
    delivery._reconcile_accounts()

    assert bool(store.docs(ACCOUNTS)[account.id].ended) is ends
    store.close()
