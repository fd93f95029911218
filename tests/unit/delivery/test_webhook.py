"""What the generic webhook is told of an alert, once each, and how its answers are taken."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from tests.support.certificates import Certificates
from tests.support.clock import Clock
from tests.support.ports import free_port
from tests.support.receivers import Answer, Webhook
from vv_exporter.channels import ProviderError
from vv_exporter.channels import webhook as channel
from vv_exporter.delivery import webhook
from vv_exporter.delivery.notifications import NotifiedAlert
from vv_exporter.delivery.parcels import Parcel
from vv_exporter.delivery.webhook import OUTBOX, Event, Links, queue_event
from vv_exporter.messages import webhook_event
from vv_exporter.messages.message import Message
from vv_exporter.settings import Secret
from vv_exporter.state.store import Store

SCHEMA = json.loads((Path(webhook_event.__file__).parent / "webhook.schema.json").read_text())
LINKS = Links("http://127.0.0.1:19461", "http://127.0.0.1:19461/silence?filter=")


def alert(status: str = "firing", starts: str = "2025-05-15T10:30:00.123456789Z", **changes: Any) -> NotifiedAlert:
    given: dict[str, Any] = {
        "status": status,
        "labels": {
            "alertname": "ContainerFailedPersistently",
            "severity": "critical",
            "component": "self_monitor.py",
            "device": "edge-device-001",
            "name": "scene_scanner",
        },
        "annotations": {
            "summary": "Container 'scene_scanner' Failed Persistently",
            "description": "Container 'scene_scanner' has failed to start after 5 restart attempts.",
            "suggested_actions": "1. Check disk space on edge-device-001.\n2. Inspect: `docker logs scene_scanner`",
            "runbook_url": "https://runbooks.example/ContainerFailedPersistently.md",
        },
        "starts_at": starts,
        "ends_at": "2025-05-15T11:32:03Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": "d8fc9ef944f09651",
    }
    return NotifiedAlert(**(given | changes))


def noted(**annotations: str) -> NotifiedAlert:
    return alert(annotations=alert().annotations | annotations)


def told_of(given: NotifiedAlert) -> dict[str, str]:
    found: dict[str, str] = msgspec.to_builtins(webhook.event(given, webhook.own_id(given), LINKS))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock())
    yield store
    store.close()


def tell_all(store: Store, *alerts: NotifiedAlert) -> list[tuple[str, dict[str, str]]]:
    """Tell these one by one; gives all that waits: status, object."""
    for one in alerts:
        with store.transaction() as tx:
            queue_event(tx, one, LINKS)
    parcels = OUTBOX.waiting(store).values()
    return [(parcel.headers["VV-Alert-Status"], json.loads(parcel.body)) for parcel in parcels]


def test_the_object_is_as_documented() -> None:
    assert told_of(alert()) == {
        "timestamp": "2025-05-15T10:30:00Z",
        "severity": "CRITICAL",
        "source_component": "self_monitor.py",
        "hostname": "edge-device-001",
        "title": "Container 'scene_scanner' Failed Persistently",
        "message_details": "Container 'scene_scanner' has failed to start after 5 restart attempts.",
        "suggested_actions": "1. Check disk space on edge-device-001.\n"
        "2. Inspect: `docker logs scene_scanner`\n"
        "Runbook: https://runbooks.example/ContainerFailedPersistently.md\n"
        "Silence: http://127.0.0.1:19461/silence?filter=%7Balertname%3D%22ContainerFailedPersistently%22%2C"
        "component%3D%22self_monitor.py%22%2Cdevice%3D%22edge-device-001%22%2Cname%3D%22scene_scanner%22%7D\n"
        "Timeline: http://127.0.0.1:19461/timeline?at=1747305000&component=self_monitor.py#entry\n"
        "Status page: http://127.0.0.1:19461/",
        "video_file_context": "N/A",
        "alert_id": "d8fc9ef944f09651-1747305000",
    }


def test_the_end_says_when_and_after_how_long() -> None:
    told = told_of(alert("resolved"))

    assert told["title"] == "Resolved: Container 'scene_scanner' Failed Persistently"
    assert told["message_details"].splitlines()[0] == "Resolved 2025-05-15T11:32:03Z, after 1h 2m 2s."
    assert told["timestamp"] == "2025-05-15T10:30:00Z"


def test_a_video_is_named_with_its_hash() -> None:
    told = told_of(noted(video="/v/cam1.mp4", video_id="cam1-7", video_sha256="ab" * 32, error="no frames"))

    assert told["video_file_context"] == f"/v/cam1.mp4, id cam1-7, SHA-256 {'ab' * 32}"
    assert told["message_details"].endswith("\nError: no frames")


def test_an_alert_of_a_script_keeps_its_own_id_and_time() -> None:
    told = told_of(noted(alert_id="0190b6c4-0000-7000-8000-000000000001", timestamp="2025-05-15T10:29:58Z"))

    assert told["alert_id"] == "0190b6c4-0000-7000-8000-000000000001"
    assert told["timestamp"] == "2025-05-15T10:29:58Z"


@pytest.mark.parametrize(
    "given",
    [
        alert(),
        alert("resolved"),
        alert(labels={}, annotations={}),
        alert(starts="yesterday"),
        alert(starts="9999-99-99T00:00:00Z", ends_at="", fingerprint=""),
        noted(summary="x" * 10_000, description="y" * 100_000, suggested_actions="z\n" * 50_000, video="v" * 9_999),
        noted(summary="\n\r\x00\u2028", description="\x1b[31m\x00", alert_id="<script> &", runbook_url="javascript:1"),
        noted(summary="{{ template }} <!channel> \N{RIGHT-TO-LEFT OVERRIDE}", description="", suggested_actions=""),
        alert(labels={"severity": "none", "alertname": "\ud7ff" * 5000, "component": " "}),
    ],
    ids=lambda given: given.status,
)
def test_whatever_an_alert_holds_the_object_is_of_the_schema(given: NotifiedAlert) -> None:
    told = told_of(given)

    jsonschema_rs.validate(SCHEMA, told)
    assert list(told) == list(SCHEMA["required"])
    assert SCHEMA["properties"].keys() == told.keys()
    assert len(json.dumps(told)) < 100_000


def test_the_schema_admits_nothing_else() -> None:
    told = told_of(alert())

    for changed in (told | {"status": "firing"}, told | {"severity": "critical"}, told | {"timestamp": "now"}):
        assert not jsonschema_rs.is_valid(SCHEMA, changed)
    assert not jsonschema_rs.is_valid(SCHEMA, {key: told[key] for key in told if key != "alert_id"})


def test_beginning_and_end_are_told_once_however_often_alertmanager_repeats_them(store: Store) -> None:
    told = tell_all(store, alert(), alert(), alert("resolved"), alert("resolved"))

    assert [status for status, _ in told] == ["firing", "resolved"]
    assert len({event["alert_id"] for _, event in told}) == 1


def test_an_alert_that_begins_again_is_another_event(store: Store) -> None:
    again = alert(starts="2025-05-16T00:00:00Z")
    told = tell_all(store, alert(), alert("resolved"), again)

    assert [status for status, _ in told] == ["firing", "resolved", "firing"]
    assert len({event["alert_id"] for _, event in told}) == 2


def test_one_whose_end_was_never_told_is_told_again_when_it_begins_again(store: Store) -> None:
    assert [status for status, _ in tell_all(store, alert(), alert(starts="2025-05-16T00:00:00Z"))] == ["firing"] * 2


def test_one_that_was_taken_for_resolved_and_goes_on_is_told_with_a_key_of_its_own(store: Store) -> None:
    tell_all(store, alert(), alert("resolved"), alert(), alert("resolved"))

    assert [parcel.key.removeprefix("d8fc9ef944f09651-1747305000-") for parcel in OUTBOX.waiting(store).values()] == [
        "firing",
        "resolved",
        "firing-2",
        "resolved-2",
    ]


def test_the_end_has_the_id_of_the_beginning_although_the_annotation_has_changed(store: Store) -> None:
    told = tell_all(store, noted(alert_id="first"), alert("resolved", annotations={"alert_id": "second"}))

    assert [event["alert_id"] for _, event in told] == ["first", "first"]


def test_what_tells_of_repeats_does_not_end_the_alert(store: Store) -> None:
    labels = alert().labels | {"repeats": "37"}
    repeats = {"labels": labels, "annotations": {"alert_id": "0190"}, "fingerprint": "0000000000000001"}
    told = tell_all(store, noted(alert_id="0190"), alert(**repeats), alert("resolved", **repeats))

    assert [(status, event["alert_id"]) for status, event in told] == [
        ("firing", "0190"),
        ("firing", "0190.37"),
        ("resolved", "0190.37"),
    ]


def test_two_alerts_with_one_alert_id_have_two_keys(store: Store) -> None:
    other = alert(annotations={"alert_id": "same"}, fingerprint="0000000000000001")
    tell_all(store, noted(alert_id="same"), other)

    assert len({parcel.key for parcel in OUTBOX.waiting(store).values()}) == 2


def test_what_is_remembered_is_bounded_and_what_fires_is_kept_longest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "MAX_POSTED_ALERTS", 3)
    many = [alert("resolved", fingerprint=f"{number:016x}") for number in range(10)]
    tell_all(store, alert(), *many)

    assert len(store.docs(webhook.POSTED_ALERTS)) == 3
    assert "d8fc9ef944f09651" in store.docs(webhook.POSTED_ALERTS)


def parcel() -> Parcel:
    return Parcel("k-1-firing", json.dumps(told_of(alert())), 0.0, {"VV-Alert-Status": "firing"})


def test_what_is_sent_is_taken() -> None:
    with Webhook() as receiver:
        webhook.Webhook(Secret(receiver.url), Clock()).send(parcel())

    (request,) = receiver.received
    assert receiver.violations == []
    assert Event(**request.json).title == "Container 'scene_scanner' Failed Persistently"
    assert request.headers["Idempotency-Key"] == "k-1-firing"


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(429, "", headers={"Retry-After": "17"}), 17),
        (Answer(429, "", headers={"Retry-After": "soon"}), 0),
        (Answer(503, "", headers={"Retry-After": "Tue, 14 Nov 2023 22:14:20 GMT"}), 60),
        (Answer(503, "", headers={"Retry-After": "Tue, 14 Nov 1995 22:14:20 GMT"}), 0),
        (Answer(500, ""), 0),
        (Answer(408, ""), 0),
        (Answer(302, "", headers={"Location": "http://127.0.0.1:1/"}), 0),
    ],
)
def test_answers_after_which_it_is_tried_again(answer: Answer, wait: float) -> None:
    with Webhook() as receiver:
        receiver.next.append(answer)
        with pytest.raises(ProviderError) as caught:
            webhook.Webhook(Secret(receiver.url), Clock()).send(parcel())

    assert not caught.value.refused
    assert caught.value.retry_after == wait
    assert f"it answered {answer.status}" in str(caught.value)
    assert receiver.received == []


@pytest.mark.parametrize(
    "status", [200, 201, 202, 203, 204, 206, 226, 302, 307, 400, 404, 408, 413, 422, 425, 429, 500]
)
@pytest.mark.parametrize("body", ["", '{"ok": false}', "no"])
def test_a_test_says_of_an_answer_what_becomes_of_an_alert(status: int, body: str) -> None:
    message = Message("k", "T", "error", "edge-7", "c", 0.0, "0197", details="d", suggested_actions="s")
    with Webhook() as receiver:
        receiver.next += [Answer(status, "" if status == 204 else body)] * 2
        by_alert = by_test = "taken"
        try:
            webhook.Webhook(Secret(receiver.url), Clock()).send(parcel())
        except ProviderError as error:
            by_alert = "never" if error.refused else "later"
        try:
            channel.Webhook(receiver.url, Clock()).test(message)
        except ProviderError as error:
            by_test = "never" if error.refused else "later"

    assert by_test == by_alert
    of_alert, of_test = (set(request.headers) for request in receiver.turned_away)
    assert of_test == of_alert
    assert len({request.headers["User-Agent"] for request in receiver.turned_away}) == 1


def test_a_test_shows_what_the_receiver_says_but_never_the_address() -> None:
    message = Message("k", "T", "error", "edge-7", "c", 0.0, "0197", details="d", suggested_actions="s")
    with Webhook() as receiver:
        receiver.next.append(Answer(403, f"no rights at {receiver.url}"))
        with pytest.raises(ProviderError, match=r"it answered 403: no rights at \(hidden\)"):
            channel.Webhook(receiver.url, Clock()).test(message)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_answers_after_which_it_is_not(status: int) -> None:
    with Webhook() as receiver:
        receiver.next.append(Answer(status, "no"))
        with pytest.raises(ProviderError, match=f"it answered {status}") as caught:
            webhook.Webhook(Secret(receiver.url), Clock()).send(parcel())
    assert caught.value.refused


def test_no_error_tells_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for url in (f"http://127.0.0.1:{free_port()}/hook/s3cret", "http://s3cret.invalid/", "https://s3cret:x@[::1]:1/"):
        with pytest.raises(ProviderError) as caught:
            webhook.Webhook(Secret(url), Clock()).send(parcel())
        assert "s3cret" not in repr(caught.value)
        assert caught.value.__cause__ is None
    assert "s3cret" not in caplog.text


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Webhook(certificates) as receiver:
        with pytest.raises(ProviderError, match="certificate verify failed"):
            webhook.Webhook(Secret(receiver.url), Clock()).send(parcel())
        refused = list(receiver.received)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
        webhook.Webhook(Secret(receiver.url), Clock()).send(parcel())

    assert refused == []
    assert len(receiver.received) == 1


def test_an_answer_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "TIMEOUT", (5.0, 0.2))
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ProviderError, match=r"no answer within 0\.2 s"),
    ):
        webhook.Webhook(Secret(f"http://127.0.0.1:{silent.getsockname()[1]}/"), Clock()).send(parcel())
