"""The statements of footage at the generic webhook: each day's once, as it is kept, and nothing where nobody asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from tests.support.receivers import Webhook
from tests.support.waiting import wait_until
from vv_exporter.delivery.statements import POSTED, StatementPoster
from vv_exporter.delivery.webhook import OUTBOX
from vv_exporter.delivery.webhook_worker import WebhookWorker
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.footage.segments import recorded
from vv_exporter.footage.statements import DAYS_BACK, StatementKeeper, file_of, statements_folder
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store

NOON = datetime(2023, 11, 14, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**environ: str) -> Settings:
        given = {"VV_STATE_DIR": str(tmp_path), "VV_DEVICE_ID": "gate-7", "VV_CONFIG": ""}
        found = load({**given, "WEBHOOK_URL": "http://h/x", "WEBHOOK_STATEMENTS": "true", **environ})
        found.exporter_dir.mkdir(parents=True, exist_ok=True)
        return found

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def keep(store: Store, clock: Clock, settings: Settings) -> Callable[[int], None]:
    """So many days of a camera are over, and their statements kept."""

    def keep(days: int) -> None:
        for day in range(days):
            clock.now = NOON + day * DAY + 3600
            with store.transaction() as tx:
                start = milliseconds(NOON + day * DAY)
                recorded(tx, "gate", start, start + 60_000)
        clock.now = NOON + days * DAY
        StatementKeeper(store, settings, clock).round()

    return keep


def waiting(store: Store) -> list[Any]:
    return list(OUTBOX.waiting(store).values())


def days(store: Store) -> list[str]:
    return [json.loads(parcel.body)["day"] for parcel in waiting(store)]


def test_each_is_posted_once_as_it_is_kept(
    store: Store, clock: Clock, settings: Settings, keep: Callable[[int], None]
) -> None:
    keep(2)
    for _ in range(3):
        StatementPoster(store, settings, clock).round()

    assert days(store) == ["2023-11-14", "2023-11-15"]
    folder = statements_folder(settings)
    assert [parcel.body.encode() for parcel in waiting(store)] == [
        file_of(folder, day).read_bytes() for day in days(store)
    ]
    assert [parcel.key for parcel in waiting(store)] == [f"gate-7-statement-{day}" for day in days(store)]


def test_no_more_than_a_week_is_made_up_for(
    store: Store, clock: Clock, settings: Settings, keep: Callable[[int], None]
) -> None:
    for day in range(12):
        keep(day + 1)
    StatementPoster(store, settings, clock).round()

    assert len(days(store)) == DAYS_BACK
    assert days(store)[-1] == "2023-11-25"


def test_one_that_cannot_be_read_costs_itself_only(
    store: Store, clock: Clock, settings: Settings, keep: Callable[[int], None]
) -> None:
    keep(3)
    file_of(statements_folder(settings), "2023-11-15").write_bytes(b"\xff{")
    StatementPoster(store, settings, clock).round()

    assert days(store) == ["2023-11-14", "2023-11-16"]


def test_what_was_posted_is_known_for_longer_than_it_could_be_posted_again(
    store: Store, clock: Clock, settings: Settings, keep: Callable[[int], None]
) -> None:
    for day in range(40):
        keep(day + 1)
        StatementPoster(store, settings, clock).round()

    known = store.document(POSTED, "")
    assert known is not None
    assert DAYS_BACK < len(known.days) < 40
    assert sorted(days(store)) == sorted(set(days(store)))


@pytest.mark.parametrize(
    ("environ", "wanted"), [({}, True), ({"WEBHOOK_STATEMENTS": ""}, False), ({"WEBHOOK_URL": ""}, False)]
)
def test_nobody_gets_them_who_has_not_asked(
    store: Store, clock: Clock, make_settings: Callable[..., Settings], environ: dict[str, str], wanted: bool
) -> None:
    assert StatementPoster(store, make_settings(**environ), clock).is_wanted is wanted


def test_it_comes_to_the_receiver(
    store: Store, clock: Clock, make_settings: Callable[..., Settings], keep: Callable[[int], None]
) -> None:
    keep(1)
    with Webhook() as receiver:
        settings = make_settings(WEBHOOK_URL=receiver.url)
        worker = WebhookWorker(store, settings, clock, clock)
        StatementPoster(store, settings, clock).round()
        worker.start()
        wait_until(lambda: receiver.received, what="the statement")
        worker.stop()

        (request,) = receiver.received
    assert request.body == file_of(statements_folder(settings), "2023-11-14").read_bytes()
    assert request.headers["VV-Document"] == "statement"
    assert "VV-Alert-Status" not in request.headers
    assert receiver.violations == []
