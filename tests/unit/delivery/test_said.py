"""What is said of an alert, and to whom: payloads, messages in whole and in short, counts, documents in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from vv_exporter.alert_path import message as path_message
from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.state import PathState
from vv_exporter.alertmanager.client import DeliveryError, RejectedError
from vv_exporter.alertmanager.payload import description, labels_of, payload, repeats
from vv_exporter.channels import Answer, ProviderError
from vv_exporter.delivery.alertmanager_watch import Counts, channel_of, parse
from vv_exporter.delivery.dividing import BATCH, Outcome, send_divided
from vv_exporter.delivery.in_short import in_short, send_somehow, send_whole
from vv_exporter.messages.message import Message, fitted, line, plain
from vv_exporter.settings import load
from vv_exporter.state.openalerts import OpenAlert, alert_key

NOW = 1_700_000_000.0
ALERT = OpenAlert("id", "k", "error", "T", "c", NOW, NOW + 5, NOW + 900, details="D")


def changed(**more: Any) -> OpenAlert:
    return msgspec.structs.replace(ALERT, **more)


class TestOpenAlert:
    def test_its_identity(self) -> None:
        assert (ALERT.identity, ALERT.occurrence_label) == ("k", "")
        assert (changed(occurrence=2.5).identity, changed(occurrence=2.5).occurrence_label) == ("k-2.500", "2.500")

    @pytest.mark.parametrize(
        ("more", "reached"),
        [({}, False), ({"delivered": 1.0}, True), ({"direct": 1.0}, True), ({"notified": 1.0}, False)],
    )
    def test_whether_it_reached_people(self, more: dict[str, float], reached: bool) -> None:
        assert changed(**more).reached_people is reached

    @pytest.mark.parametrize(
        ("more", "now", "ended"),
        [
            ({"delivered": 1.0}, NOW + 900, True),
            ({"delivered": 1.0}, NOW + 899.9, False),
            ({"rejected": 1.0}, NOW + 900, True),
            ({}, NOW + 9000, False),
        ],
    )
    def test_it_ends_after_it_was_delivered_or_rejected(self, more: dict[str, float], now: float, ended: bool) -> None:
        assert changed(**more).has_ended(now) is ended

    def test_its_key_is_made_of_what_makes_two_the_same(self) -> None:
        key = alert_key("c", "T", "error", {"a": "1", "b": "2"}, "")

        assert len(key) == 16
        assert key == alert_key("c", "T", "error", {"b": "2", "a": "1"}, "")
        others = [
            alert_key("d", "T", "error", {"a": "1", "b": "2"}, ""),
            alert_key("c", "U", "error", {"a": "1", "b": "2"}, ""),
            alert_key("c", "T", "info", {"a": "1", "b": "2"}, ""),
            alert_key("c", "T", "error", {"a": "1"}, ""),
            alert_key("c", "T", "error", {"a": "1", "b": "2"}, "x"),
        ]
        assert len({key, *others}) == 6
        assert alert_key("c", "T", "error", {"a": "1"}, "x") == alert_key("c", "T", "error", {}, "x")


class TestPayload:
    @pytest.mark.parametrize(
        ("more", "said"),
        [
            ({}, "D"),
            ({"details": ""}, ""),
            ({"context": {"video": "v", "video_sha256": "s", "video_id": "7", "x": "y"}}, "D\nvideo_id: 7\nx: y"),
            ({"count": 2}, "D\nrepeated once since 2023-11-14T22:13:20Z"),
            ({"count": 3}, "D\nrepeated 2 times since 2023-11-14T22:13:20Z"),
            (
                {"count": 2, "differing": 1},
                "D\nrepeated once since 2023-11-14T22:13:20Z, with other details (in the timeline)",
            ),
            (
                {"count": 5, "differing": 2},
                "D\nrepeated 4 times since 2023-11-14T22:13:20Z, 2 of them with other details (in the timeline)",
            ),
        ],
    )
    def test_what_it_says(self, more: dict[str, Any], said: str) -> None:
        assert description(changed(**more)) == said

    def test_labels(self) -> None:
        assert labels_of(changed(component="", occurrence=2.5, direct=1.0, title="a\x07"), "d") == {
            "alertname": "VVEvent", "severity": "error", "component": "unknown", "device": "d", "title": "a\\x07",
            "alert_key": "k", "occurrence": "2.500", "told": "direct",
        }  # fmt: skip
        assert "occurrence" not in labels_of(ALERT, "d")

    def test_it_lasts_a_little_beyond_its_end_and_says_nothing_that_is_empty(self) -> None:
        sent = payload(changed(context={"video_id": "7"}), "d", "", "g")

        assert (sent["startsAt"], sent["endsAt"], sent["generatorURL"]) == (
            "2023-11-14T22:13:20Z", "2023-11-14T22:28:25Z", "g"
        )  # fmt: skip
        assert sorted(sent["annotations"]) == [
            "alert_id", "count", "description", "hostname", "summary", "timestamp", "video_id"
        ]  # fmt: skip

    def test_how_often_it_was_repeated_is_an_alert_for_two_minutes(self) -> None:
        sent = repeats(changed(count=3), "d", "r", "g", NOW + 60)

        assert sent["labels"]["repeats"] == "2"
        assert sent["annotations"]["summary"] == "T (repeated 2 times)"
        assert (sent["startsAt"], sent["endsAt"]) == ("2023-11-14T22:14:20Z", "2023-11-14T22:16:20Z")


MESSAGE = Message(
    "key", "Title", "error", "edge-1", "scan", NOW, "id-1", "A", "Details", "Do", "Note", "a.mp4", "ab",
    "https://r", "https://s", "https://p",
)  # fmt: skip
WHOLE = """\
ERROR: Title

Severity: ERROR
Device: edge-1
Component: scan

Details
Note
Video: a.mp4
SHA-256: ab
Since: 2023-11-14T22:13:20Z
Alert id: id-1

What to do:
Do

Runbook: https://r
Silence: https://s
Status page: https://p"""


class TestMessage:
    def test_the_whole_of_it(self) -> None:
        assert plain(MESSAGE) == WHOLE

    def test_without_what_there_is_not(self) -> None:
        bare = Message("key", "Title", "error", "edge-1", "scan", NOW, "id-1")

        assert "Video" not in plain(bare)
        assert "SHA-256" not in plain(bare)
        assert "What to do" not in plain(bare)
        assert bare.links() == []

    def test_of_one_that_has_ended_there_is_nothing_to_do(self) -> None:
        ended = msgspec.structs.replace(MESSAGE, resolved=True)

        assert (ended.status, MESSAGE.status) == ("RESOLVED", "ERROR")
        assert "What to do" not in plain(ended)
        assert plain(ended).startswith("RESOLVED: Title")

    @pytest.mark.parametrize(
        ("field", "most"),
        [("title", 200), ("device", 100), ("component", 100), ("details", 2000), ("note", 300), ("video", 200),
         ("video_sha256", 64), ("alert_id", 64), ("suggested_actions", 1200)],
    )  # fmt: skip
    def test_each_part_is_cut(self, field: str, most: int) -> None:
        for length, whole in ((most, True), (most + 1, False)):
            text = plain(msgspec.structs.replace(MESSAGE, **{field: "x" * length}))
            assert ("x" * most in text) == whole
            assert "x" * (most - 1) in text

    def test_a_line_is_one(self) -> None:
        assert line(" a\n b\tc ", 10) == "a b c"

    @pytest.mark.parametrize("most", range(4, 20))
    def test_a_text_is_cut_so_that_its_escaped_form_fits_and_nothing_is_cut_in_two(self, most: int) -> None:
        text = "a&b&c&d"
        escape = lambda part: part.replace("&", "&amp;")  # noqa: E731
        made = fitted(text, most, escape, len)

        assert len(made) <= most
        if len(escape(text)) <= most:
            assert made == escape(text)
        else:
            longest = max(n for n in range(len(text)) if len(escape(text[:n])) < most)
            assert made == escape(text[:longest]) + "…"


class Provider:
    name, title = "slack", "Slack"

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.got: list[Message] = []

    def send(self, message: Message) -> Answer:
        self.got.append(message)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return Answer(200, "ok")

    test = send


class TestInShort:
    def test_nothing_is_left_of_what_others_wrote(self) -> None:
        odd = msgspec.structs.replace(MESSAGE, alertname="<A>", component="a b", alert_id="x" * 65)
        short = in_short(odd)

        assert (short.title, short.component, short.alert_id) == (
            "An alert that this channel does not take as it is (alert)", "unknown", "unknown"
        )  # fmt: skip
        assert short.suggested_actions == "1. Read it on the device: `vv timeline`"
        assert (short.details, short.note, short.video, short.video_sha256, short.links()) == ("", "", "", "", [])
        assert (short.key, short.severity, short.device, short.time) == ("key", "error", "edge-1", NOW)

    def test_what_is_harmless_stays(self) -> None:
        short = in_short(msgspec.structs.replace(MESSAGE, alert_id="x" * 64))

        assert (short.component, short.alert_id) == ("scan", "x" * 64)
        assert short.title.endswith("(A)")
        assert short.suggested_actions == f"1. Read it on the device: `vv timeline --alert {'x' * 64}`"

    def test_it_is_tried_when_the_text_is_refused(self) -> None:
        refusing = Provider(ProviderError("no", refused=True))

        assert send_somehow(refusing, MESSAGE) == Answer(200, "ok")
        assert refusing.got == [MESSAGE, in_short(MESSAGE)]

    def test_another_error_is_the_channels(self) -> None:
        away = Provider(ProviderError("away"))
        with pytest.raises(ProviderError, match="away"):
            send_somehow(away, MESSAGE)

        assert away.got == [MESSAGE]

    def test_whatever_goes_wrong_is_an_error_of_the_provider(self) -> None:
        for error in (RuntimeError("x"), ProviderError("x")):
            with pytest.raises(ProviderError):
                send_whole(Provider(error), MESSAGE)
        assert send_whole(Provider(), MESSAGE) == Answer(200, "ok")


METRICS = """\
process_start_time_seconds 5
alertmanager_notification_requests_total{integration="slack",receiver_name="chat"} 9
alertmanager_notification_requests_total{integration="slack",receiver_name="other"} 1
alertmanager_notification_requests_failed_total{integration="slack",receiver_name="chat"} 4
alertmanager_notifications_failed_total{integration="slack",receiver_name="chat",reason="serverError"} 2
alertmanager_notifications_failed_total{integration="slack",receiver_name="other",reason="serverError"} 1
alertmanager_notifications_failed_total{integration="slack",receiver_name="chat",reason="authError"} 1
alertmanager_notification_requests_total{integration="webhook",receiver_name="log"} 9
alertmanager_notification_requests_total{integration="webhook",receiver_name="alert-path"} 9
alertmanager_notification_requests_total{integration="",receiver_name="x"} 9
alertmanager_notification_requests_total{integration="webhook",receiver_name="webhook"} 3
alertmanager_notifications_total{integration="slack",receiver_name="chat"} 77
alertmanager_notifications_failed_total{integration="email",receiver_name="mail",reason="other"} 1
"""


def test_alertmanagers_metrics_by_channel() -> None:
    sample = parse(METRICS)

    assert sample.started == 5
    assert sample.counts == {
        "slack": Counts(10.0, 4.0, 4.0, {"serverError": 3.0, "authError": 1.0}),
        "alertmanager-webhook": Counts(3.0),
        "email": Counts(0.0, 0.0, 1.0, {"other": 1.0}),
    }
    assert channel_of("webhook", "site") == "site"
    assert channel_of("email", "webhook") == "email"
    with pytest.raises(ValueError, match=r".*"):
        parse('alertmanager_notifications_failed_total{integration="slack"} x\n')


class TestDivided:
    def send(self, count: int, bad: Sequence[int] = (), away_after: int = 10**6) -> tuple[Outcome, list[int]]:
        sizes: list[int] = []

        def send(documents: list[dict[str, Any]]) -> None:
            if len(sizes) >= away_after:
                raise DeliveryError("away")
            sizes.append(len(documents))
            if any(one["n"] in bad for one in documents):
                raise RejectedError("refused")

        def present(number: int) -> dict[str, Any]:
            if number == 1000:
                raise RuntimeError("x")
            return {"n": number}

        numbers = [1000 if number == 3 and count == 5 else number for number in range(count)]
        return send_divided(numbers, present, send), sizes

    def test_64_go_at_once(self) -> None:
        assert BATCH == 64
        assert self.send(64) == (Outcome(list(range(64)), {}, None, 1), [64])
        assert self.send(65) == (Outcome(list(range(65)), {}, None, 2), [64, 1])
        assert self.send(0) == (Outcome([], {}, None, 0), [])

    def test_the_one_that_is_refused_is_found_in_halves(self) -> None:
        outcome, sizes = self.send(8, bad=[5])

        assert outcome == Outcome([0, 1, 2, 3, 4, 6, 7], {5: "refused"}, None, 3)
        assert sizes == [8, 4, 4, 2, 1, 1, 2]

    def test_what_cannot_be_written_is_refused_as_well(self) -> None:
        outcome, sizes = self.send(5)

        assert outcome == Outcome([0, 1, 2, 4], {3: "it cannot be written: RuntimeError"}, None, 1)
        assert sizes == [4]

    def test_when_nobody_answers_the_others_wait(self) -> None:
        outcome, _ = self.send(130, away_after=1)

        assert (outcome.taken, outcome.rejected, outcome.requests) == (list(range(64)), {}, 1)
        assert str(outcome.error) == "away"


class TestAlertPathBroken:
    SETTINGS = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7"})

    @pytest.mark.parametrize("hop", list(Hop))
    def test_each_hop_has_its_words_and_its_component(self, hop: Hop) -> None:
        state = PathState(since=NOW, hop=hop.value, reason="why")
        told = path_message.broken(state, self.SETTINGS)

        assert told.component == ("alertmanager" if hop in (Hop.SEND, Hop.DELIVER) else "prometheus")
        assert f"{path_message.EXPLAINED[hop]}: why. Until" in told.details
        assert (told.time, told.alert_id, told.resolved) == (NOW, "AlertPathBroken-1700000000", False)
        lines = told.suggested_actions.splitlines()
        assert [one[:3] for one in lines] == [f"{n}. " for n in range(1, len(lines) + 1)]
        assert "vv status" in lines[-1]
        others = {one: path_message.broken(PathState(since=NOW, hop=one.value), self.SETTINGS) for one in Hop}
        assert len({one.suggested_actions for one in others.values()}) == len(Hop)

    def test_without_a_reason_or_a_known_hop(self) -> None:
        assert path_message.explained(PathState(hop=Hop.SEND.value)) == path_message.EXPLAINED[Hop.SEND]
        assert path_message.explained(PathState(hop="x", reason="y")) == "the Watchdog alert does not come back: y"
        assert path_message.component_of("x") == "prometheus"
        assert "/-/ready" in path_message.broken(PathState(hop="x"), self.SETTINGS).suggested_actions

    def test_that_it_works_again(self) -> None:
        told = path_message.mended(PathState(since=NOW, hop=Hop.SEND.value), self.SETTINGS, NOW + 60)

        assert (told.time, told.resolved, told.suggested_actions) == (NOW + 60, True, "")
        assert told.alert_id == "AlertPathBroken-1700000000"

    @pytest.mark.parametrize(
        ("environ", "asked"),
        [
            ({}, "vv get /-/healthy"),
            (
                {"VV_DEPLOYMENT": "compose", "VV_EXPORTER_URL": "http://exporter:9"},
                "wget -qO- http://exporter:9/-/healthy",
            ),
            ({"VV_DEPLOYMENT": "compose", "VV_EXPORTER_URL": "https://exporter:9"}, "/-/healthy"),
        ],
    )
    def test_the_exporter_is_asked_as_alertmanager_would(self, environ: dict[str, str], asked: str) -> None:
        settings = load({"VV_STATE_DIR": "/nonexistent", **environ})
        told = path_message.broken(PathState(hop=Hop.DELIVER.value), settings)

        first = told.suggested_actions.splitlines()[0]
        assert asked in first
        assert ("wget" in first) == ("http://exporter:9" in environ.get("VV_EXPORTER_URL", ""))
