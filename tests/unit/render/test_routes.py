"""Who is told of what: receivers, routes, inhibitions, and what is left of them when channels are not configured."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.routes import routes, seconds, taken
from tests.support.servers import Programs, check
from tests.unit.render.conftest import EVERY_CHANNEL, Load
from vv_exporter import channels
from vv_exporter.delivery import relay
from vv_exporter.render import alertmanager, base, render

COMMITTED = base.load(base.folder() / "alertmanager" / "alertmanager.yml")


def kinds(document: dict[str, Any]) -> dict[str, list[str]]:
    """The channels of each receiver, by the keys of its entries."""
    return {
        receiver["name"]: sorted(key.removesuffix("_configs") for key in receiver if key != "name")
        for receiver in document["receivers"]
    }


def test_every_channel_of_alertmanager_has_an_entry_and_every_entry_a_channel() -> None:
    entries = chain.from_iterable(
        entries for receiver in COMMITTED["receivers"] for key, entries in receiver.items() if key != "name"
    )

    owners = {channels.owner(alertmanager.secret_files(entry)).title for entry in entries}

    assert owners == {channel.title for channel in channels.all_channels() if channel.secrets}


def test_every_secret_file_is_named_in_an_entry() -> None:
    named = set(alertmanager.secret_files({str(i): entry for i, entry in enumerate(_entries())}))
    assert named == {name for channel in channels.all_channels() for name in channel.secrets}


def _entries() -> list[Any]:
    return [
        entry
        for receiver in COMMITTED["receivers"]
        for key, entries in receiver.items()
        if key != "name"
        for entry in entries
    ]


def test_alertmanager_is_not_given_what_the_exporter_delivers_to(settings_of: Load, tmp_path: Path) -> None:
    render(settings_of(WEBHOOK_URL="https://example.org/hook-secret"), tmp_path / "out")

    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"hook-secret" not in written


def test_with_every_channel_the_receivers_are_those_committed(settings_of: Load) -> None:
    document = alertmanager.document(COMMITTED, settings_of(**EVERY_CHANNEL), Path("/etc/vv/run"))

    assert kinds(document) == kinds(COMMITTED)
    assert document["route"] == COMMITTED["route"]
    assert document["inhibit_rules"] == COMMITTED["inhibit_rules"]


@pytest.mark.parametrize(
    ("after", "interval", "repeat"), [("3m", "30s", "15s"), ("1h", "30s", "15s"), ("20s", "3333ms", "1667ms")]
)
def test_the_beat_comes_back_several_times_in_the_time_that_is_waited(
    settings_of: Load, after: str, interval: str, repeat: str
) -> None:
    document = alertmanager.document(COMMITTED, settings_of(VV_ALERT_PATH_AFTER=after), Path("/etc/vv/run"))

    (route,) = [route for route in routes(document["route"]) if route.get("receiver") == "alert-path"]
    assert (route["group_interval"], route["repeat_interval"]) == (interval, repeat)


def test_without_channels_the_record_is_left_and_the_watchdog_kept_out_of_it(settings_of: Load) -> None:
    document = alertmanager.document(COMMITTED, settings_of(), Path("/etc/vv/run"))

    assert kinds(document) == {"nobody": [], "log": ["webhook"], "alert-path": ["webhook"]}
    assert [(route["receiver"], route.get("matchers")) for route in routes(document["route"])] == [
        ("log", None),
        ("nobody", ['alertname="Watchdog"']),
        ("alert-path", None),
        ("nobody", ['told="nobody"']),
        ("nobody", ['alertname="VVEvent"', 'repeats!=""']),
        ("log", None),
        ("nobody", ['alertname="Drill"', 'channel!=""']),
        ("nobody", ['told="direct"']),
        ("nobody", ['alertname="NotificationsFailing"']),
    ]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (["SLACK_WEBHOOK_URL"], {key: ["slack"] for key in ("chat", "chat-events", "without-telegram", "drill-slack")}),
        (
            ["TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"],
            {key: ["telegram"] for key in ("chat", "chat-events", "without-slack", "drill-telegram")},
        ),
        (["PAGERDUTY_ROUTING_KEY"], {"pager": ["pagerduty"], "drill-pagerduty": ["pagerduty"]}),
        (["OPSGENIE_API_KEY"], {"pager": ["opsgenie"], "drill-opsgenie": ["opsgenie"]}),
        (
            ["SMTP_SMARTHOST", "SMTP_FROM", "ALERT_EMAIL_TO"],
            {key: ["email"] for key in ("mail", "without-slack", "without-telegram")},
        ),
        (["ALERTMANAGER_WEBHOOK_URL"], {"webhook": ["webhook"]}),
        (["DEADMAN_URL"], {"deadman": ["webhook"]}),
    ],
)
def test_one_channel_alone(settings_of: Load, environ: list[str], expected: dict[str, list[str]]) -> None:
    settings = settings_of(**{name: EVERY_CHANNEL[name] for name in environ})

    document = alertmanager.document(COMMITTED, settings, Path("/etc/vv/run"))

    assert kinds(document) == {"nobody": [], "log": ["webhook"], "alert-path": ["webhook"]} | expected
    assert {route["receiver"] for route in routes(document["route"]) if "receiver" in route} == {
        "nobody", "log", "alert-path", *expected,
    }  # fmt: skip


def test_mail_without_a_login_has_none(settings_of: Load) -> None:
    environ = {name: EVERY_CHANNEL[name] for name in ("SMTP_SMARTHOST", "SMTP_FROM", "ALERT_EMAIL_TO")}

    document = alertmanager.document(COMMITTED, settings_of(**environ, SMTP_REQUIRE_TLS="false"), Path("/o"))
    (entry,) = next(item["email_configs"] for item in document["receivers"] if item["name"] == "mail")

    assert {key: entry.get(key) for key in ("to", "from", "smarthost", "require_tls", "auth_username")} == {
        "to": "ana@example.org",
        "from": "vv@example.org",
        "smarthost": "mail.example.org:587",
        "require_tls": False,
        "auth_username": None,
    }
    assert "auth_password_file" not in entry


def test_paths_are_absolute(settings_of: Load) -> None:
    document = alertmanager.document(COMMITTED, settings_of(**EVERY_CHANNEL), Path("/etc/vv/run"))

    paths = re.findall(r"^.*_file: (.*)$", yaml.safe_dump(document), re.MULTILINE)
    assert len(paths) >= 9
    assert [path for path in paths if not path.startswith("/etc/vv/run/secrets/")] == []
    assert document["templates"] == ["/etc/vv/run/templates/*.tmpl"]


def test_urgent_alerts_are_at_the_receiver_quickly() -> None:
    # 10 s to the scrape, 10 s to the evaluation: half of both in the median, and group_wait come before the receiver.
    quick = ("0s", "500ms", "1s", "2500ms", "3s", "5s")
    slow = [
        route
        for route in routes(COMMITTED["route"])
        if route.get("group_wait", "5s") not in quick and route.get("matchers") != ['severity="warning"']
    ]
    assert slow == []


@pytest.mark.parametrize("receiver", ["pager", "chat-events"])
def test_a_critical_alert_of_a_script_waits_for_no_others(receiver: str) -> None:
    """The exporter has collected its repeats; `relay.COLLECTED_CRITICAL_SECONDS` is how long others are waited for."""
    alert = {"alertname": "VVEvent", "severity": "critical", "component": "signer.py", "title": "Key gone"}

    (route,) = (one for one in taken(COMMITTED["route"], alert) if one["receiver"] == receiver)

    assert seconds(route["group_wait"]) == relay.COLLECTED_CRITICAL_SECONDS
    assert route["group_by"] == COMMITTED["route"]["group_by"]


def test_other_alerts_of_scripts_wait_for_others_of_their_kind() -> None:
    alert = {"alertname": "VVEvent", "severity": "error", "component": "signer.py", "title": "Key gone"}

    (route,) = (one for one in taken(COMMITTED["route"], alert) if one["receiver"] == "chat-events")

    assert seconds(route["group_wait"]) == relay.COLLECTED_SECONDS


ROUTED = [
    ("alertname=Watchdog severity=none", "alert-path,deadman"),
    ("alertname=ContainerDown severity=critical", "log,webhook,pager,chat"),
    ("alertname=StageFailing severity=error", "log,webhook,chat"),
    ("alertname=DiskSpaceLow severity=warning", "log,webhook,mail,chat"),
    ("alertname=HostRebooted severity=info", "log,webhook"),
    ("alertname=VVEvent severity=critical", "log,webhook,pager,chat-events"),
    ("alertname=VVEvent severity=error", "log,webhook,chat-events"),
    ("alertname=VVEvent severity=warning", "log,webhook,mail,chat-events"),
    ("alertname=VVEvent severity=info", "log,webhook"),
    ("alertname=DvrUnreachable severity=error", "log,webhook,chat"),
    ("alertname=DvrUnreachableProlonged severity=critical", "log,webhook,pager,chat"),
    ("alertname=Unknown severity=", "log,webhook"),
    ("alertname=VVEvent severity=critical told=direct", "log,webhook,nobody"),
    ("alertname=VVEvent severity=critical repeats=36", "chat-events"),
    ("alertname=Drill severity=critical", "log,webhook,pager,chat"),
    ("alertname=Drill severity=error", "log,webhook,chat"),
    ("alertname=Drill severity=warning", "log,webhook,mail,chat"),
    ("alertname=Drill severity=critical channel=slack", "log,drill-slack"),
    ("alertname=Drill severity=warning channel=telegram", "log,drill-telegram"),
    ("alertname=Drill severity=critical channel=pagerduty", "log,drill-pagerduty"),
    ("alertname=Drill severity=critical channel=opsgenie", "log,drill-opsgenie"),
    ("alertname=Drill severity=warning channel=email", "log,mail"),
    ("alertname=Drill severity=critical channel=alertmanager-webhook", "log,webhook"),
    ("alertname=Drill severity=critical channel=webhook", "log,nobody"),
    ("alertname=NotificationsFailing severity=error channel=slack", "log,webhook,without-slack"),
    ("alertname=NotificationsFailing severity=error channel=telegram", "log,webhook,without-telegram"),
    ("alertname=NotificationsFailing severity=error channel=email", "log,webhook,chat"),
    ("alertname=NotificationsFailing severity=error channel=pagerduty", "log,webhook,chat"),
]


@pytest.mark.prometheus
@pytest.mark.parametrize(("labels", "receivers"), ROUTED)
def test_routes(programs: Programs, labels: str, receivers: str) -> None:
    config = base.folder() / "alertmanager" / "alertmanager.yml"
    check(
        programs.amtool,
        "config",
        "routes",
        "test",
        f"--config.file={config}",
        f"--verify.receivers={receivers}",
        *labels.split(),
    )


REPEATED = [
    ("alertname=ContainerDown severity=critical", "log=1d,webhook=4h,pager=1h,chat=1h"),
    ("alertname=HmacSigningFailed severity=critical", "log=1d,webhook=4h,pager=1h,chat=1h"),
    ("alertname=StageFailing severity=error", "log=1d,webhook=4h,chat=4h"),
    ("alertname=ContainerDown severity=error", "log=1d,webhook=4h,chat=4h"),
    ("alertname=DiskSpaceLow severity=warning", "log=1d,webhook=4h,mail=12h,chat=12h"),
    ("alertname=ContainerRestarting severity=warning", "log=1d,webhook=4h,mail=12h,chat=12h"),
    ("alertname=DvrUnreachable severity=error", "log=1d,webhook=4h,chat=30m"),
    ("alertname=DvrUnreachableProlonged severity=critical", "log=1d,webhook=4h,pager=1h,chat=30m"),
    ("alertname=VVEvent severity=critical", "log=1d,webhook=4h,pager=1h,chat-events=1d"),
    ("alertname=HostRebooted severity=info", "log=1d,webhook=4h"),
    ("alertname=Watchdog severity=none", "alert-path=15s,deadman=30s"),
]


@pytest.mark.prometheus
@pytest.mark.parametrize(("labels", "repeats"), REPEATED)
def test_who_is_told_again_and_when(programs: Programs, labels: str, repeats: str) -> None:
    found = taken(COMMITTED["route"], dict(label.split("=") for label in labels.split()))

    assert ",".join(f"{route['receiver']}={route['repeat_interval']}" for route in found) == repeats
    receivers = ",".join(route["receiver"] for route in found)
    config = base.folder() / "alertmanager" / "alertmanager.yml"
    verify = f"--verify.receivers={receivers}"
    check(programs.amtool, "config", "routes", "test", f"--config.file={config}", verify, *labels.split())


@pytest.mark.parametrize("severity", ["critical", "error", "warning"])
@pytest.mark.parametrize("name", ["ContainerDown", "ContainerOomKilled", "DvrUnreachable"])
def test_all_of_a_burst_are_one_message_in_chats_and_mails(name: str, severity: str) -> None:
    found = taken(COMMITTED["route"], {"alertname": name, "severity": severity})

    for route in found:
        if route["receiver"] in ("chat", "mail", "webhook"):
            assert route["group_by"] == ["alertname", "device", "severity"], route["receiver"]


@pytest.mark.parametrize("severity", ["critical", "error"])
def test_a_container_that_dies_waits_for_what_the_next_look_finds_and_no_longer(severity: str) -> None:
    document = base.load(base.folder() / "prometheus" / "prometheus.yml")
    (look,) = [job["scrape_interval"] for job in document["scrape_configs"] if job["job_name"] == "vv-exporter-events"]
    found = taken(COMMITTED["route"], {"alertname": "ContainerDown", "severity": severity})

    (wait,) = {route["group_wait"] for route in found if route["receiver"] in ("chat", "webhook")}
    assert seconds(look) < seconds(wait) < seconds(look) + 1


def test_what_has_just_failed_waits_for_what_the_next_look_finds_and_no_longer() -> None:
    """The rules that look at what is shown every two seconds are those that the routes are quick for."""
    looks = [
        rule["labels"] | {"alertname": rule["alert"]}
        for path in sorted((base.folder() / "prometheus" / "rules").glob("*.yml"))
        for group in base.load(path)["groups"]
        for rule in group["rules"]
        if "_recent" in rule["expr"] and "alert" in rule
    ]
    assert len(looks) == 10
    for labels in looks:
        found = taken(COMMITTED["route"], labels)
        waits = {route["receiver"]: seconds(route["group_wait"]) for route in found if route["receiver"] != "log"}
        expected = {"chat": 3.0, "webhook": 3.0} | ({"pager": 0.5} if labels["severity"] == "critical" else {})
        assert waits == expected, labels["alertname"]


@pytest.mark.parametrize("name", ["ContainerDown", "ContainerFailedPersistently", "DvrUnreachableProlonged", "Drill"])
def test_a_pager_rings_for_each(name: str) -> None:
    """It does not ring again for what joins an incident that somebody has taken."""
    found = taken(COMMITTED["route"], {"alertname": name, "severity": "critical"})

    assert [route["group_by"] for route in found if route["receiver"] == "pager"] == [["..."]]


def test_a_pager_rings_once_for_a_cause_that_many_scripts_tell() -> None:
    found = taken(COMMITTED["route"], {"alertname": "VVEvent", "severity": "critical"})

    (pages,) = [route["group_by"] for route in found if route["receiver"] == "pager"]
    assert {"component", "title", "occurrence"} <= set(pages)
    assert "alert_key" not in pages


OTHERS = {
    "slack": ["SLACK_WEBHOOK_URL"],
    "telegram": ["TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"],
    "email": ["SMTP_SMARTHOST", "SMTP_FROM", "ALERT_EMAIL_TO"],
    "pagerduty": ["PAGERDUTY_ROUTING_KEY"],
    "opsgenie": ["OPSGENIE_API_KEY"],
}


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("failing", "other", "receiver"),
    [
        ("slack", "telegram", "without-slack"),
        ("slack", "email", "without-slack"),
        ("slack", "pagerduty", "pager"),
        ("telegram", "slack", "without-telegram"),
        ("telegram", "opsgenie", "pager"),
        ("email", "slack", "chat"),
        ("email", "pagerduty", "pager"),
        ("pagerduty", "telegram", "chat"),
        ("pagerduty", "email", "mail"),
        ("pagerduty", "opsgenie", "pager"),
    ],
)
def test_a_failing_channel_is_told_by_the_other_one(
    settings_of: Load, tmp_path: Path, programs: Programs, failing: str, other: str, receiver: str
) -> None:
    environ = {name: EVERY_CHANNEL[name] for name in (*OTHERS[failing], *OTHERS[other])}
    render(settings_of(**environ), tmp_path)
    command = (programs.amtool, "config", "routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}")

    check(
        *command,
        f"--verify.receivers=log,{receiver}",
        "alertname=NotificationsFailing",
        "severity=error",
        f"channel={failing}",
    )


@pytest.mark.prometheus
def test_without_channels_everything_is_recorded(settings_of: Load, tmp_path: Path, programs: Programs) -> None:
    render(settings_of(), tmp_path)
    command = (programs.amtool, "config", "routes", "test", f"--config.file={tmp_path / 'alertmanager.yml'}")

    check(*command, "--verify.receivers=log", "alertname=ContainerDown", "severity=critical")
    check(*command, "--verify.receivers=alert-path", "alertname=Watchdog", "severity=none")


@pytest.mark.parametrize(
    ("hours", "times"),
    [
        ("22:00-06:00", [("22:00", "24:00"), ("00:00", "06:00")]),
        ("22:00-00:00", [("22:00", "24:00")]),
        ("22:00-24:00", [("22:00", "24:00")]),
        ("00:00-06:30", [("00:00", "06:30")]),
        ("13:00-14:00", [("13:00", "14:00")]),
    ],
)
def test_quiet_hours_become_times_of_alertmanager(settings_of: Load, hours: str, times: list[tuple[str, str]]) -> None:
    settings = settings_of(VV_QUIET_HOURS=hours, VV_QUIET_HOURS_TIMEZONE="Europe/Lisbon")

    (interval,) = alertmanager.document(COMMITTED, settings, Path("/o"))["time_intervals"]

    spans = [{"start_time": start, "end_time": end} for start, end in times]
    assert interval == {
        "name": "quiet-hours",
        "time_intervals": [{"times": spans, "location": "Europe/Lisbon"}],
    }


def test_without_quiet_hours_nothing_is_ever_muted(settings_of: Load) -> None:
    document = alertmanager.document(COMMITTED, settings_of(), Path("/o"))

    assert document["time_intervals"] == [{"name": "quiet-hours", "time_intervals": []}]


def test_quiet_hours_mute_warnings_in_chat_alone() -> None:
    muted = [route for route in routes(COMMITTED["route"]) if "mute_time_intervals" in route]
    warnings = [route for route in COMMITTED["route"]["routes"] if route.get("matchers") == ['severity="warning"']]
    chat = [route for route in warnings if route["receiver"] == "chat"]

    assert all(route in muted for one in chat for route in routes(one))
    assert [route["matchers"] for route in muted if route not in [each for one in chat for each in routes(one)]] == [
        ['severity="warning"']
    ]


@pytest.mark.prometheus
def test_alertmanager_takes_the_quiet_hours(settings_of: Load, tmp_path: Path, programs: Programs) -> None:
    render(
        settings_of(**EVERY_CHANNEL, VV_QUIET_HOURS="22:00-06:00", VV_QUIET_HOURS_TIMEZONE="Europe/Lisbon"), tmp_path
    )

    check(programs.amtool, "check-config", tmp_path / "alertmanager.yml")
