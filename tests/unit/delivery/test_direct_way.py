"""Alerts go directly while Alertmanager is away, once, across kills and full disks; a refusal costs itself only."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.delivery.bench import AFTER, WINDOW, Bench, dropped, labels_of, notified, outage
from vv_exporter.alertmanager.client import DeliveryError, RejectedError
from vv_exporter.alertmanager.payload import HELD, description
from vv_exporter.channels import Answer, ProviderError
from vv_exporter.common.clock import moment
from vv_exporter.common.matchers import parse_filter
from vv_exporter.delivery import notifications, outbox, webhook
from vv_exporter.delivery.alertmanager_watch import INTERVAL
from vv_exporter.delivery.channel_health import CHANNELS
from vv_exporter.delivery.direct import MANY, OUTGOING, REFUSALS, drop_others, put, waiting
from vv_exporter.delivery.received import receive
from vv_exporter.messages.message import Message
from vv_exporter.settings import load
from vv_exporter.state.database import StoreError
from vv_exporter.state.openalerts import ALERTS, ENDED, OpenAlert, end_alert
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Filter, read

SHORT = "An alert that this channel does not take as it is (VVEvent)"


def test_while_alertmanager_answers_nothing_goes_directly(bench: Bench) -> None:
    bench.put()
    bench.work(600)

    assert bench.slack.took == []
    assert {"told"} & bench.sent[0]["labels"].keys() == set()


def test_before_the_time_is_up_nothing_goes_directly(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put()
    bench.work(AFTER - INTERVAL)

    assert bench.slack.took == []


def test_after_it_alerts_go_directly_once_with_the_reason_and_are_not_told_by_alertmanager_again(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.put("b")
    bench.put("c", "info")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(120)

    assert bench.slack.titles == ["T a", "T b"]
    assert bench.telegram.titles == bench.slack.titles
    assert bench.pagerduty.titles == ["T a"]
    assert "Alertmanager does not answer since 2023-11-14T22:13:3" in bench.slack.took[0].note
    told = {labels["title"]: labels.get("told") for labels in labels_of(bench.sent)}
    assert told == {"T a": "direct", "T b": "direct", "T c": None}


@pytest.mark.parametrize("before", [0, 5, 10, 60])
@pytest.mark.parametrize("hangs", [10, AFTER - INTERVAL, AFTER, AFTER + INTERVAL, 300])
def test_what_an_alertmanager_reads_when_it_goes_on_is_told_by_it_or_was_directly_and_never_both(
    bench: Bench, before: float, hangs: float
) -> None:
    bench.work(60)
    bench.hangs = True
    bench.work(before)
    for key, severity in (("a", "critical"), ("b", "error"), ("c", "warning"), ("d", "info")):
        bench.put(key, severity)
    bench.work(max(hangs - before, INTERVAL))
    now = bench.clock.now
    read = {labels["title"] for labels in labels_of(_firing(bench.unread, now)) if "told" not in labels}
    bench.hangs = False
    bench.work(60)

    directly = set(bench.slack.titles)
    assert read & directly == set()
    told = {labels["title"] for labels in labels_of(_firing(bench.sent, bench.clock.now)) if "told" not in labels}
    assert {"T a", "T b", "T c"} <= told | directly
    assert told & directly == set()
    assert len(bench.slack.titles) == len(directly)


@pytest.mark.parametrize("before", [0, 5, 10, 55, 60, 65, 120])
@pytest.mark.parametrize("hangs", [10, AFTER - INTERVAL, AFTER, AFTER + INTERVAL, 300])
def test_what_an_alertmanager_took_before_it_hung_is_told_by_it_or_was_directly_and_never_both(
    bench: Bench, before: float, hangs: float
) -> None:
    """It had told nobody yet: what it holds is due at once when it goes on."""
    bench.event(notification=notified())  # it reports what it tells
    bench.work(60)
    for key, severity in (("a", "critical"), ("b", "error"), ("c", "warning"), ("d", "info")):
        bench.put(key, severity)
    bench.relay.round()
    assert {labels["title"] for labels in labels_of(bench.sent)} == {"T a", "T b", "T c", "T d"}
    bench.work(before)
    bench.hangs = True
    bench.work(hangs)
    due = _told_when_it_goes_on(bench)
    bench.hangs = False
    bench.work(60)

    directly = set(bench.slack.titles)
    assert due & directly == set()
    told = _told_when_it_goes_on(bench)
    assert {"T a", "T b", "T c"} <= told | directly
    assert told & directly == set()
    assert len(bench.slack.titles) == len(directly)


def _told_when_it_goes_on(bench: Bench) -> set[str]:
    """Of several ends of an alert Alertmanager takes the latest."""
    firing = _firing(bench.sent + bench.unread, bench.clock.now)
    return {labels["title"] for labels in labels_of(firing) if "told" not in labels}


@pytest.mark.parametrize("hears", [5, 30])
def test_what_people_have_heard_of_lasts_its_time_at_alertmanager(bench: Bench, hears: float) -> None:
    bench.event(notification=notified())
    bench.put()
    bench.work(hears)
    assert max(moment(one["endsAt"]) or 0.0 for one in bench.sent) < bench.clock.now + AFTER
    bench.event(notification=notified(alert_key="k"))
    bench.relay.round()
    taken = len(bench.sent)
    bench.hangs = True
    bench.work(AFTER + 60)

    assert max(moment(one["endsAt"]) or 0.0 for one in bench.sent) == bench.store.docs(ALERTS)["k"].ends + HELD
    assert (len(bench.sent), bench.slack.titles) == (taken, [])


def test_what_nobody_hears_of_is_kept_alive_there(bench: Bench) -> None:
    """Silenced, inhibited, or for channels that fail: it must not seem to have ended."""
    bench.event(notification=notified())
    bench.put()
    for _ in range(int(WINDOW / INTERVAL) - 1):
        bench.work(INTERVAL)
        assert max(moment(one["endsAt"]) or 0.0 for one in bench.sent) > bench.clock.now + HELD


def test_one_that_gives_way_before_people_have_heard_of_it_lasts_until_they_have(bench: Bench) -> None:
    bench.event(notification=notified())
    bench.put()
    bench.relay.round()
    with bench.store.transaction() as tx:
        end_alert(tx, bench.store.docs(ALERTS)["k"])
    bench.relay.round()

    assert max(moment(one["endsAt"]) or 0.0 for one in bench.sent) == bench.store.docs(ENDED)["k"].ends + HELD


def test_what_is_held_at_a_stop_lasts_its_time(bench: Bench) -> None:
    """Nobody would see to it for as long as the exporter is away."""
    bench.event(notification=notified())
    bench.put()
    bench.relay.round()
    bench.relay.stop()

    assert max(moment(one["endsAt"]) or 0.0 for one in bench.sent) == bench.store.docs(ALERTS)["k"].ends + HELD


def test_a_stop_on_a_full_disk_or_without_alertmanager_is_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.event(notification=notified())
    bench.put()
    bench.relay.round()
    full(bench, monkeypatch)
    bench.relay.stop()
    bench.down = True
    bench.relay.stop()

    assert bench.store.docs(ALERTS)["k"].leased


def test_one_that_waits_for_an_alertmanager_that_works_is_held_as_long_as_any(bench: Bench) -> None:
    bench.work(10)
    bench.put()
    bench.work(5)

    ends = [moment(one["endsAt"]) for one in bench.sent]
    assert ends == [pytest.approx(1700000010 + AFTER), pytest.approx(1700000010 + WINDOW + HELD)]


def test_an_alert_that_was_taken_on_a_lease_only_is_not_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.work(10)
    bench.put()
    answered: list[object] = []

    def send(alerts: list[dict[str, Any]]) -> None:
        if answered:
            raise DeliveryError("no answer in time")
        answered.append(alerts)

    monkeypatch.setattr(bench, "send", send)
    bench.relay.round()

    assert bench.store.docs(ALERTS)["k"].delivered == 0


def _firing(alerts: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
    """Those of them that Alertmanager takes for firing at a time."""
    return [one for one in alerts if (moment(one["endsAt"]) or 0.0) > now]


def test_the_silence_of_a_direct_message_is_for_its_alert_alone(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a")
    bench.work(AFTER + 60)

    (query,) = parse_qs(urlsplit(bench.slack.took[0].silence_url).query)["filter"]
    matched = {one.name: one.value for one in parse_filter(query)}
    assert (matched["alertname"], matched["title"], matched["alert_key"]) == ("VVEvent", "T a", "a")
    assert not matched.keys() & {"severity", "occurrence", "told"}


def test_the_outage_adds_up_across_restarts_and_alerts_of_it_are_told_once(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put()
    for _ in range(12):
        bench.work(20)
        bench.restart()
    bench.work(30)

    assert bench.slack.titles == ["T k"]
    bench.restart()
    bench.work(300)
    assert bench.slack.titles == ["T k"]


def test_one_whose_metrics_cannot_be_read_is_away(bench: Bench) -> None:
    bench.work(10)
    bench.says = "process_start_time_seconds soon"
    bench.work(AFTER + 3 * INTERVAL)
    assert bench.watch.outage()

    bench.says = ""
    bench.work(3 * INTERVAL)
    assert not bench.watch.outage()


def test_neither_a_device_that_was_off_nor_a_clock_that_jumps_is_an_outage(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put()
    bench.work(20)
    bench.clock.advance(86_400)
    bench.restart()
    bench.work(20)

    assert bench.slack.took == []


def test_an_alertmanager_that_answers_but_takes_no_alerts_is_one_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(alerts: list[dict[str, Any]]) -> None:
        raise DeliveryError("answered 500")

    monkeypatch.setattr(bench, "send", refuse)
    bench.put()
    bench.work(AFTER + 60)

    assert "T k" in bench.slack.titles


def test_what_it_took_before_it_went_is_not_sent_again(bench: Bench) -> None:
    bench.put()
    bench.work(10)
    bench.down = True
    bench.work(AFTER + 60)

    assert bench.slack.titles == []


def test_what_it_took_just_before_it_went_and_is_known_not_to_have_told_goes_directly(bench: Bench) -> None:
    bench.event(notification=notified())  # it reports what it tells
    bench.put("told")
    bench.put("untold")
    bench.work(5)
    bench.event(notification=notified(alert_key="told"))
    bench.down = True
    bench.work(AFTER + 60)

    assert bench.slack.titles == ["T untold"]


def test_a_channel_that_is_away_delays_no_other_and_loses_nothing(bench: Bench) -> None:
    bench.telegram.error = ProviderError("no connection")
    bench.work(10)
    bench.down = True
    bench.put()
    bench.work(AFTER + 300)
    bench.restart()
    assert bench.slack.titles == ["T k"]
    assert bench.telegram.took == []
    assert bench.telegram.tries < 20

    bench.telegram.error = None
    bench.work(120)
    assert bench.telegram.titles == ["T k"]


def test_a_kill_between_the_provider_and_the_note_of_it_tells_twice_and_loses_nothing(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "T", "error", "d", "c", 0.0, "i"), ["slack"])
    send = bench.slack.send

    class Killed(BaseException):
        pass

    def killed(message: Message) -> Answer:
        send(message)
        raise Killed

    bench.slack.send = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        bench.senders[0].round()
    bench.slack.send = send  # type: ignore[method-assign]
    bench.restart()
    bench.work(10)

    assert bench.slack.titles == ["T", "T"]
    assert waiting(bench.store, "slack") == []


def full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: nothing can be written down."""
    write = bench.store._write_transaction

    def no_space(changes: Transaction) -> None:
        if changes.documents or changes.series or changes.history:
            raise StoreError("database or disk is full")
        write(changes)

    monkeypatch.setattr(bench.store, "_write_transaction", no_space)


def test_on_a_full_disk_a_message_is_sent_once_and_noted_when_there_is_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "T", "error", "d", "c", 0.0, "i"), ["slack"])
    with monkeypatch.context() as patch:
        full(bench, patch)
        for _ in range(20):
            with pytest.raises(StoreError):
                bench.senders[0].round()
            bench.clock.advance(60)
    bench.senders[0].round()

    assert bench.slack.titles == ["T"]
    assert waiting(bench.store, "slack") == []


def test_on_a_full_disk_a_summary_is_told_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    outage(bench)
    bench.work(100)
    bench.clock.advance(100)
    bench.slack.error = bench.telegram.error = None
    with monkeypatch.context() as patch:
        full(bench, patch)
        for _ in range(20):
            with pytest.raises(StoreError):
                bench.missed.round()
            bench.clock.advance(60)
    bench.missed.round()

    assert len(bench.slack.took) == 1
    assert bench.accounts() == []


def test_many_go_as_one(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        for number in range(MANY + 1):
            put(tx, Message(f"k{number}", f"T {number}", "error", "d", "c", 0.0, "i"), ["slack"])
    bench.work(60)

    assert bench.slack.titles == ["6 alerts, the first: T 0"]


def test_a_message_that_is_refused_as_it_is_does_not_hold_up_the_others_for_ever(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "bad", "error", "d", "c", 0.0, "i"), ["slack"])
        put(tx, Message("l", "good", "error", "d", "c", 0.0, "i"), ["slack"])
    send = bench.slack.send

    def refuse(message: Message) -> Answer:
        bench.slack.error = ProviderError("answered 400: no", 400) if message.title == "bad" else None
        return send(message)

    bench.slack.send = refuse  # type: ignore[method-assign]
    bench.work(60)

    assert bench.slack.titles == [SHORT, "good"]
    assert bench.slack.tries == REFUSALS + 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_channel_that_takes_nothing_loses_nothing(bench: Bench, status: int) -> None:
    """A chat that was moved, a key that is not valid: providers answer as they do to a text that is too long."""
    wait_for_slack(bench, "first", severity="critical")
    wait_for_slack(bench, "both", to=("slack", "telegram"))
    bench.slack.error = ProviderError(f"answered {status}: chat not found", status)
    bench.work(7200)
    assert bench.telegram.titles == ["both"]
    assert [one.message.title for one in waiting(bench.store, "slack")] == ["first", "both"]
    moments = [one.title for one in read(bench.store, Filter()).moments if one.kind == "direct.refused"]
    assert moments == ["slack does not take a message as it is: first"]
    channel = bench.store.document(CHANNELS, "slack")
    assert channel is not None
    assert "chat not found" in channel.error

    bench.slack.error = None
    bench.work(120)
    assert bench.slack.titles == ["first", "both"]
    assert (dropped(bench, "critical"), dropped(bench, "error")) == (0, 0)


def test_a_refused_text_is_told_in_words_of_our_own_and_where_to_read_it(bench: Bench) -> None:
    hostile = Message(
        "k", "bad \x1b", "critical", "d", "a<b", 0.0, "0190-a", "VVEvent", details="bad", note="bad",
        suggested_actions="bad", video="bad", video_sha256="bad", runbook_url="bad", silence_url="bad",
        status_url="bad",
    )  # fmt: skip
    with bench.store.transaction() as tx:
        put(tx, hostile, ["slack"])
    send = bench.slack.send

    def picky(message: Message) -> Answer:
        if "bad" in repr(message) or "<" in repr(message):
            raise ProviderError("answered 400: can't parse entities", 400)
        return send(message)

    bench.slack.send = picky  # type: ignore[method-assign]
    bench.work(60)

    (told,) = bench.slack.took
    assert (told.key, told.severity, told.title, told.alert_id) == ("k", "critical", SHORT, "0190-a")
    assert "vv timeline --alert 0190-a" in told.suggested_actions
    assert dropped(bench, "critical") == 0
    kinds = [one.kind for one in read(bench.store, Filter(alert="0190-a")).moments]
    assert kinds == ["direct.sent", "direct.refused"]


def wait_for_slack(bench: Bench, *titles: str, severity: str = "error", to: tuple[str, ...] = ("slack",)) -> None:
    for title in titles:
        with bench.store.transaction() as tx:
            put(tx, Message(f"k-{title}", title, severity, "d", "c", 0.0, f"id-{title}", details="why"), to)


def refuse(bench: Bench, title: str, error: Exception) -> None:
    """Slack does not take a message that has this title anywhere in it."""
    send = bench.slack.send

    def picky(message: Message) -> Answer:
        if title in message.title or title in message.details:
            bench.slack.tries += 1
            raise error
        return send(message)

    bench.slack.send = picky  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "error", [ProviderError("answered 400: no", 400), UnicodeEncodeError("ascii", "x", 0, 1, "no")]
)
def test_one_of_many_that_is_refused_costs_itself_only(bench: Bench, error: Exception) -> None:
    wait_for_slack(bench, *(f"T {number}." for number in range(12)))
    refuse(bench, "T 7.", error)
    bench.work(1200)

    told = "\n".join(f"{message.title} {message.details}" for message in bench.slack.took)
    assert [number for number in range(12) if f"T {number}." not in told] == [7]
    assert SHORT in told
    assert waiting(bench.store, "slack") == []
    assert dropped(bench, "error") == 0


def test_what_the_only_channel_refuses_is_told_in_short(bench: Bench) -> None:
    wait_for_slack(bench, "to both", to=("telegram", "slack"))
    wait_for_slack(bench, "to one", severity="critical")
    refuse(bench, "to ", ProviderError("answered 400: no", 400))
    bench.work(120)

    assert bench.telegram.titles == ["to both"]
    assert bench.slack.titles == [SHORT, SHORT]
    assert (dropped(bench, "error"), dropped(bench, "critical")) == (0, 0)


def test_too_many_messages_push_out_what_was_read_elsewhere_and_then_the_least_severe(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bench.telegram.error = ProviderError("no connection")
    wait_for_slack(bench, "read", severity="critical", to=("slack", "telegram"))
    bench.work(10)
    wait_for_slack(bench, "w", severity="warning", to=("telegram",))
    wait_for_slack(bench, "c1", "c2", "c3", severity="critical", to=("telegram",))
    wait_for_slack(bench, "late", severity="warning", to=("slack",))

    assert [one.message.title for one in waiting(bench.store, "telegram")] == ["c1", "c2", "c3"]
    assert waiting(bench.store, "slack") == []
    assert (dropped(bench, "warning"), dropped(bench, "critical")) == (2, 0)


def test_a_channel_that_is_dead_for_long_does_not_close_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bench.telegram.error = ProviderError("no connection")
    for number in range(6):
        wait_for_slack(bench, f"T {number}", to=("slack", "telegram"))
        bench.work(10)

    assert bench.slack.titles == [f"T {number}" for number in range(6)]
    assert dropped(bench, "error") == 0


def test_messages_for_a_channel_that_is_gone_do_not_stay(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "T", "error", "d", "c", 0.0, "i"), ["slack", "telegram"])
    drop_others(bench.store, ["slack"])

    (one,) = bench.store.docs(OUTGOING).values()
    assert one.left == {"slack": 0}


def test_a_page_that_was_sent_directly_is_closed_when_the_alert_ends(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(2 * WINDOW)

    closed = [message.resolved for message in bench.pagerduty.took if message.title == "T a"]
    assert closed == [False, True]
    assert [message.resolved for message in bench.slack.took if message.title == "T a"] == [False]


def reject(bench: Bench, title: str) -> None:
    """Alertmanager answers 400 to this alert, and takes the others."""
    send = bench.send

    def picky(alerts: list[dict[str, Any]]) -> None:
        if any(alert["labels"]["title"] == title for alert in alerts):
            raise RejectedError("answered 400: start time must be before end time")
        send(alerts)

    bench.send = picky  # type: ignore[method-assign]
    bench.relay._destination = bench


def test_an_alert_that_alertmanager_refuses_goes_directly_once_and_is_no_outage(bench: Bench) -> None:
    for key in ("bad", "good"):
        bench.put(key, "critical")
    reject(bench, "T bad")
    bench.work(AFTER + 300)
    bench.restart()
    bench.work(2 * WINDOW)

    assert bench.slack.titles == bench.telegram.titles == ["T bad"]
    assert bench.slack.took[0].note == "Alertmanager refuses it as it is: sent directly."
    assert [message.resolved for message in bench.pagerduty.took] == [False, True]
    assert {labels["title"] for labels in labels_of(bench.sent)} == {"T good"}
    assert bench.watch.seen.down == 0
    assert bench.store.docs(ALERTS) == bench.store.docs(ENDED) == {}


def events(bench: Bench) -> list[tuple[str, str, str]]:
    """What waits for the webhook: status, title and alert id."""
    found = []
    for parcel in webhook.OUTBOX.waiting(bench.store).values():
        event = json.loads(parcel.body)
        found.append((parcel.headers["VV-Alert-Status"], event["title"], event["alert_id"]))
    return found


def with_a_webhook_only(bench: Bench) -> None:
    environ = {"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7", "WEBHOOK_URL": "http://127.0.0.1:9/hook"}
    bench.settings = load(environ)
    bench.channels = {}
    bench.restart()


def test_a_device_with_a_webhook_only_hears_of_alerts(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    bench.restart()
    bench.down = False
    bench.work(60)

    assert events(bench) == [("firing", "T a", "id-a")]


def test_what_the_webhook_had_directly_it_does_not_get_again_from_alertmanager_but_its_end(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(60)
    (sent,) = {alert["labels"]["title"]: alert for alert in bench.sent}.values()
    links = webhook.Links("http://e", "http://e/silence?filter=")
    for status in ("firing", "firing", "resolved"):
        alert = notifications.NotifiedAlert(
            status, sent["labels"], sent["annotations"], sent["startsAt"], sent["endsAt"],
            webhook.fingerprint(sent["labels"]),
        )  # fmt: skip
        with bench.store.transaction() as tx:
            webhook.queue_event(tx, alert, links)

    assert [event[0] for event in events(bench) if event[2] == "id-a"] == ["firing", "resolved"]


@pytest.mark.parametrize("is_recorded", [False, True])
def test_what_the_record_had_before_alertmanager_hung_is_one_alert_for_the_webhook(
    bench: Bench, is_recorded: bool
) -> None:
    """The log route waits for a second, the channels for five: the webhook may have heard of it, and people not."""
    with_a_webhook_only(bench)
    bench.event(notification=notified())
    bench.put("a", "critical")
    bench.relay.round()
    (first,) = {alert["labels"]["title"]: alert for alert in bench.sent}.values()
    if is_recorded:
        notify(bench, first, "firing")
        assert of_scripts(bench) == ["VVEvent"]
    bench.hangs = True
    bench.work(AFTER + 60)
    assert [event[0] for event in events(bench)] == ["firing"]
    assert of_scripts(bench) == []

    if is_recorded:
        assert notify(bench, first, "resolved") == 0  # the lease
    bench.hangs = False
    bench.work(60)
    twin = bench.sent[-1]
    assert twin["labels"]["told"] == "direct"
    assert notify(bench, twin, "firing") == 1
    bench.work(2 * WINDOW)
    assert notify(bench, twin, "resolved") == 1

    assert [(status, id_) for status, _, id_ in events(bench)] == [("firing", "id-a"), ("resolved", "id-a")]
    assert of_scripts(bench) == []


def of_scripts(bench: Bench) -> list[str]:
    return [account.alertname for account in bench.accounts() if account.is_event]


def test_the_end_of_an_alert_that_alertmanager_told_is_no_end_of_a_lease(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.put("a", "critical")
    bench.relay.round()
    notify(bench, bench.sent[0], "firing")

    assert notify(bench, bench.sent[0], "resolved") == 1
    assert [event[0] for event in events(bench)] == ["firing", "resolved"]


def notify(bench: Bench, alert: dict[str, Any], status: str) -> int:
    """Alertmanager's notification to the log, of an alert that was sent to it; gives how many alerts are recorded."""
    told = notifications.NotifiedAlert(
        status, alert["labels"], alert["annotations"], alert["startsAt"], alert["endsAt"],
        webhook.fingerprint(alert["labels"]),
    )  # fmt: skip
    with bench.store.transaction() as tx:
        return len(receive(tx, notifications.Notification((told,)), bench.settings).alerts)


def test_the_webhook_hears_of_an_alert_that_alertmanager_refuses_and_of_its_end(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.put("bad", "critical")
    reject(bench, "T bad")
    bench.work(2 * WINDOW)

    assert [(status, id_) for status, _, id_ in events(bench)] == [("firing", "id-bad"), ("resolved", "id-bad")]
    assert dropped(bench, "critical") == 0


def test_an_alert_that_cannot_be_written_holds_up_no_other_on_the_direct_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(alert: OpenAlert) -> str:
        if alert.key == "bad":
            raise ValueError("an alert that has no words")
        return description(alert)

    monkeypatch.setattr("vv_exporter.delivery.failover.description", describe)
    monkeypatch.setattr("vv_exporter.alertmanager.payload.description", describe)
    bench.work(10)
    bench.down = True
    for key in ("bad", "good"):
        bench.put(key, "critical")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(2 * WINDOW)

    assert "T good" in bench.slack.titles
    assert dropped(bench, "critical") == 1
    assert bench.store.docs(ALERTS) == bench.store.docs(ENDED) == {}


def test_a_page_of_one_that_gives_way_during_an_outage_is_closed(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    with bench.store.transaction() as tx:
        end_alert(tx, bench.store.docs(ALERTS)["a"])
    bench.work(30)

    assert [message.resolved for message in bench.pagerduty.took if message.title == "T a"] == [False, True]
    assert bench.store.docs(ENDED) == {}
