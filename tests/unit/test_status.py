"""The state of a device in one document, and as people read it."""

import json
import os
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

from tests.support.states import device
from vv_exporter.cli import _client
from vv_exporter.cli import status as cli
from vv_exporter.common.clock import isoformat
from vv_exporter.metrics import (
    alerts,
    containers,
    counters,
    digest,
    dvr,
    exporter,
    gauges,
    histograms,
    jobs,
    outbox,
    pipeline,
    self_monitor,
    storage,
    thresholds,
)
from vv_exporter.status import Known, Past, Status, sections, status
from vv_exporter.web.guard import gather

NOW = 1_700_000_000.0


def alert(name: str, severity: str, **changes: Any) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, "component": "c"},
        "annotations": {"summary": f"{name} happened", "description": "d", "runbook_url": "u"},
        "startsAt": "2026-01-01T00:00:00Z",
        "status": {"state": "active"},
        **changes,
    }


def healthy() -> list[Family]:
    buckets = (0,) * (len(pipeline.STAGE_DURATION.buckets) + 1)
    return [
        gauges(exporter.COLLECTOR_SUCCESS, [(("jobs",), 1)]),
        gauges(storage.PROBE_SUCCESS, [(("system", "/"), 1)]),
        gauges(storage.SIZE, [(("system", "/"), 200e9)]),
        gauges(storage.FREE, [(("system", "/"), 100e9)]),
        gauges(pipeline.STAGE_RUNNING, [(("scan",), 1)]),
        gauges(pipeline.STAGE_OVERDUE, [(("scan",), 0)]),
        histograms(pipeline.STAGE_DURATION, [(("scan", "failure"), (2, *buckets[1:]), 3.0, NOW)]),
        gauges(jobs.JOB_RUNNING, [(("nightly",), 0)]),
        gauges(jobs.JOB_NEXT_DUE, [(("nightly",), NOW + 7200)]),
        gauges(jobs.JOB_GRACE, [(("nightly",), 60)]),
        gauges(jobs.JOB_LAST_SUCCESS, [(("nightly",), NOW - 300)]),
        gauges(containers.RUNNING, [(("agent",), 1)]),
        gauges(containers.EXPECTED, [(("agent",), 1)]),
        gauges(containers.STATE, [(("agent", "running"), 1), (("agent", "exited"), 0)]),
    ]


def replaced(*families: Family) -> list[Family]:
    by_name = {family.name: family for family in healthy()} | {family.name: family for family in families}
    return list(by_name.values())


def made(families: list[Family], alerts: list[dict[str, Any]] | None) -> Status:
    return status(families, Known(alerts, None if alerts is None else NOW), "edge-1", NOW)


def test_a_healthy_device_is_all_right() -> None:
    found = made(healthy(), [alert("Watchdog", "none"), alert("HostRebooted", "info")])

    assert found.ok
    assert [one.name for one in found.alerts or ()] == ["HostRebooted"]
    assert found.stages[0].failed == 2
    assert found.containers[0].state == "running"
    assert found.jobs[0].late == 0


def test_what_containers_work_is_told_of_the_last_minute() -> None:
    def total(agent: float, restarted: float) -> Family:
        return counters(containers.CPU_SECONDS, [(("agent",), agent, None), (("restarted",), restarted, None)])

    past = Past()
    past.record_sample([total(10, 10)], NOW - 80)
    past.record_sample([total(40, 40)], NOW - 40)
    past.record_sample([total(60, 60)], NOW - 10)
    families = replaced(
        gauges(containers.RUNNING, [((name,), 1) for name in ("agent", "restarted", "new")]),
        gauges(containers.CPU_LIMIT, [(("agent",), 2.5)]),
        gauges(containers.MEMORY, [((name,), 120e6) for name in ("agent", "restarted", "new")]),
        total(70, 5),
    )
    found = status(families, Known([], NOW), "edge-1", NOW, past)
    table = next(one for one in sections(found) if one.id == "containers")
    column = table.columns.index("Uses")

    assert {row[0].text: row[column].note for row in table.rows} == {
        "agent": "0.75 of 2.5 cores",
        "restarted": "",
        "new": "",
    }


@pytest.mark.parametrize(
    ("memory", "limit", "shown"),
    [([], [], "–"), ([120e6], [], "120.0 MB"), ([120e6], [480e6], "120.0 MB of 480.0 MB")],
)
def test_a_containers_memory_is_shown_beside_its_limit(memory: list[float], limit: list[float], shown: str) -> None:
    families = [
        gauges(containers.MEMORY, [(("agent",), value) for value in memory]),
        gauges(containers.MEMORY_LIMIT, [(("agent",), value) for value in limit]),
    ]
    table = next(one for one in sections(made(replaced(*families), [])) if one.id == "containers")

    assert table.rows[0][table.columns.index("Uses")].text == shown


@pytest.mark.parametrize(
    ("family", "trouble"),
    [
        (gauges(storage.PROBE_SUCCESS, [(("system", "/"), 0)]), "/ cannot be used"),
        (gauges(pipeline.STAGE_OVERDUE, [(("scan",), 1)]), "stage scan is over its time limit"),
        (gauges(jobs.JOB_NEXT_DUE, [(("nightly",), NOW - 61)]), "job nightly did not run on time"),
        (gauges(containers.RUNNING, [(("agent",), 0)]), "container agent is not running"),
        (gauges(containers.HEALTH, [(("agent", "unhealthy"), 1)]), "container agent is unhealthy"),
        (
            gauges(containers.INSPECTED, [(("agent",), 0)]),
            "the Docker Engine does not answer for container agent: it is shown as the list has it",
        ),
        (gauges(exporter.COLLECTOR_SUCCESS, [(("jobs",), 0)]), "collector jobs fails: see app.log"),
    ],
)
def test_what_is_wrong_is_said(family: Family, trouble: str) -> None:
    found = made(replaced(family), [])

    assert found.troubles == (trouble,)
    assert not found.ok


def test_that_nothing_can_be_written_down_is_said_first() -> None:
    found = status(healthy(), Known([alert("DiskSpaceLow", "warning")], 100.0, unwritable="disk I/O error"), "d", 100.0)

    assert not found.ok
    assert found.troubles[0] == "critical: the exporter can write nothing down (disk I/O error): nothing new is counted"
    assert len(found.troubles) == 2


def test_a_disk_that_is_missing_is_told_with_what_should_be_there() -> None:
    reason = "nothing is mounted at /srv, where /dev/sdb1 (ext4) was"
    found = made(
        replaced(
            gauges(storage.PROBE_SUCCESS, [(("system", "/"), 1), (("video_storage", "/srv"), 0)]),
            gauges(storage.MISSING_INFO, [(("video_storage", "/srv", reason), 1)]),
        ),
        [],
    )
    table = next(one for one in sections(found) if one.id == "storage")

    assert found.troubles == (f"/srv cannot be used: {reason}",)
    assert [row[table.columns.index("Free")].note for row in table.rows if row[1].text == "/srv"] == [reason]


def test_a_run_that_is_late_is_told_with_its_process_and_video() -> None:
    late = [
        (("scan", "scan.py", "7", "6f1e", "/srv/video/a.mp4", "ab", "600", "usual"), NOW - 900),
        (("scan", "scan.py", "", "", "", "", "600", "usual"), NOW - 700),
    ]
    found = made(
        replaced(gauges(pipeline.STAGE_OVERDUE, [(("scan",), 2)]), gauges(pipeline.STAGE_OVERDUE_START, late)), []
    )

    runs = "scan.py (PID 7 in container 6f1e) with a.mp4; scan.py"
    assert found.troubles == (f"stage scan is over its time limit: {runs}",)


def test_a_container_that_nobody_expects_may_be_down() -> None:
    families = replaced(gauges(containers.RUNNING, [(("agent",), 0)]), gauges(containers.EXPECTED, [(("agent",), 0)]))

    assert made(families, []).ok


def test_the_most_urgent_alert_comes_first() -> None:
    alerts = [alert("A", "warning"), alert("B", "critical"), alert("C", "error")]
    found = made(healthy(), alerts)

    assert [one.name for one in found.alerts or ()] == ["B", "C", "A"]
    assert found.troubles == ("critical: B happened", "error: C happened", "warning: A happened")


def test_without_alertmanager_nothing_is_known_to_be_well() -> None:
    found = made(healthy(), None)

    assert found.alerts is None
    assert found.troubles == ("Alertmanager does not answer: what fires is not known",)


def test_what_is_not_notified_comes_last_and_says_why() -> None:
    silenced = alert("A", "critical", status={"state": "suppressed", "silencedBy": ["s"], "inhibitedBy": []})
    inhibited = alert("B", "critical", status={"state": "suppressed", "silencedBy": [], "inhibitedBy": ["i"]})
    found = made(healthy(), [silenced, inhibited, alert("C", "warning")])

    assert [(one.name, one.silenced, one.inhibited) for one in found.alerts or ()] == [
        ("C", False, False),
        ("A", True, False),
        ("B", False, True),
    ]
    assert found.troubles == ("warning: C happened", "critical: A happened (silenced)")
    assert "critical: A happened (silenced), since" in printed(found)


def stage_runs(succeeded: int, failed: int, seconds: float = 1.5) -> Family:
    """A stage whose runs took so long."""
    place = sum(bound < seconds for bound in pipeline.STAGE_DURATION.buckets)
    counts = [0] * (len(pipeline.STAGE_DURATION.buckets) + 1)
    counts[place] = succeeded
    other = [0] * len(counts)
    other[0] = failed
    return histograms(
        pipeline.STAGE_DURATION,
        [(("scan", "success"), counts, 0.0, NOW), (("scan", "failure"), other, 0.0, NOW)],
    )


def test_what_is_recent_is_what_came_in_the_last_hour() -> None:
    past = Past()
    for minute in range(90):
        past.record_sample([stage_runs(100 + minute, 2)], NOW - 60 * (90 - minute))
    found = status(replaced(stage_runs(190, 5)), Known([], NOW), "edge-1", NOW, past)

    (stage,) = found.stages
    assert (stage.recent, stage.recent_failed, stage.recent_seconds) == (63, 3, 3600)
    assert stage.p50 == pytest.approx(1.75)
    assert stage.p95 == pytest.approx(2.425)
    assert sum(ended for ended, _ in stage.plot) == 63
    assert sum(bad for _, bad in stage.plot) == 3
    assert "63, 3 failed in 60 min" in printed(found)


def test_counters_that_began_anew_do_not_count_backwards() -> None:
    past = Past()
    past.record_sample([stage_runs(100, 50)], NOW - 600)
    (stage,) = status(replaced(stage_runs(1, 0)), Known([], NOW), "edge-1", NOW, past).stages

    assert (stage.recent, stage.recent_failed, stage.p50) == (0, 0, None)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (110e9, "10.0 GB filled in 60 min (full in 10 h at this rate)"),
        (90e9, "10.0 GB freed in 60 min"),
        (100e9, "steady"),
    ],
)
def test_the_trend_of_a_disk(before: float, words: str) -> None:
    past = Past()
    past.record_sample([gauges(storage.FREE, [(("system", "/"), before)])], NOW - 3600)

    assert words in printed(status(healthy(), Known([], NOW), "edge-1", NOW, past))


@pytest.mark.parametrize(("failures", "ok"), [(2, True), (3, False)])
def test_a_dvr_is_a_trouble_when_it_failed_as_often_as_configured(failures: int, ok: bool) -> None:
    front = ("front", "probe")
    families = [
        *healthy(),
        gauges(dvr.DVR_UP, [(front, 0)]),
        gauges(dvr.DVR_CONSECUTIVE_FAILURES, [(front, failures)]),
        gauges(dvr.DVR_LAST_RESULT, [((*front, "auth"), 1)]),
        gauges(thresholds.DVR_FAILURES, [((), 3)]),
    ]

    assert made(families, []).ok == ok
    assert f"down: auth ({failures} failed attempts in a row)" in printed(made(families, []))


@pytest.mark.parametrize("source", ["agent", "probe"])
def test_a_login_that_is_held_back_is_a_trouble_with_its_cure(source: str) -> None:
    front = ("front gate", source)
    families = [
        *healthy(),
        gauges(dvr.DVR_UP, [(front, 0)]),
        gauges(dvr.DVR_CONSECUTIVE_FAILURES, [(front, 1)]),
        gauges(dvr.DVR_LAST_RESULT, [((*front, "auth"), 1)]),
        gauges(dvr.DVR_HELD_BACK, [(front, NOW - 600)]),
        gauges(thresholds.DVR_FAILURES, [((), 3)]),
    ]

    (trouble,) = made(families, []).troubles
    assert source in trouble
    assert "vv dvr login 'front gate'" in trouble
    assert f"login held back (refused, and not sent since {isoformat(NOW - 600)[11:]})" in printed(made(families, []))


@pytest.mark.parametrize("podman", [0, 1])
def test_podman_in_the_engines_place_is_a_trouble(podman: int) -> None:
    shown = made([*healthy(), gauges(containers.PODMAN, [((), podman)])], [])

    assert shown.ok != podman
    assert ("Podman, which is not supported" in printed(shown)) == podman


def test_an_agent_that_was_killed_is_a_trouble_and_one_at_work_is_none() -> None:
    def shown(up: int) -> Status:
        return made([*healthy(), gauges(dvr.DVR_AGENT_UP, [(("front",), up)])], [])

    assert shown(1).ok
    assert shown(0).troubles == ("the agent of DVR front was killed, and nothing is recorded",)
    assert "down: killed" in printed(shown(0))


def test_the_restarts_that_a_container_has_left() -> None:
    families = [
        *healthy(),
        gauges(self_monitor.MAX_RESTARTS, [(("agent",), 5)]),
        gauges(self_monitor.IN_WINDOW, [(("agent",), 2)]),
    ]
    gave_up = gauges(self_monitor.GAVE_UP, [(("agent",), 1)])

    assert "2 of 5 restarts used" in printed(made(families, []))
    assert made([*families, gave_up], []).troubles == ("the self-monitor gave up on container agent",)


def test_what_waits_for_the_webhook() -> None:
    now = made([], []).time
    counts = [(("webhook", result), count, None) for result, count in (("ok", 7), ("failed", 3), ("refused", 1))]
    families = [
        counters(alerts.RELAY_DELIVERIES, counts),
        gauges(outbox.OUTBOX_QUEUE, [(("webhook",), 2)]),
        gauges(outbox.OUTBOX_OLDEST, [(("webhook",), now - 600)]),
    ]
    found = made(families, [])

    assert found.troubles == ("2 events waiting for the webhook, the oldest for 10 min: see app.log",)
    assert "2 events waiting (oldest 10 min ago; 7 delivered, 1 given up, 3 failures tried again)" in printed(found)
    assert found.delivery is not None
    assert (found.delivery.sent, found.delivery.failed) == (0, 0)


@pytest.mark.parametrize(
    ("due", "sent", "shown"),
    [
        (3600.0, -82800.0, "due in 60 min (last sent 23 h ago)"),
        (-7200.0, 0.0, "2 h late: see app.log (none was sent yet)"),
    ],
)
def test_the_digest(due: float, sent: float, shown: str) -> None:
    families = [
        gauges(digest.DIGEST_NEXT_DUE, [((), NOW + due)]),
        gauges(digest.DIGEST_LAST_SENT, [((), NOW + sent if sent else 0.0)]),
    ]

    assert f"daily digest                  {shown}" in printed(made(families, []))
    assert "digest" not in printed(made([], []))


def test_sections_without_anything_in_them_are_left_out() -> None:
    assert [table.id for table in sections(made([], []))] == ["delivery", "exporter"]
    assert [table.id for table in sections(made(healthy(), []))] == [
        "containers",
        "stages",
        "jobs",
        "storage",
        "delivery",
        "exporter",
    ]


def printed(found: Status) -> str:
    return click.unstyle("\n".join(cli.lines(found)))


def test_it_is_printed_in_words() -> None:
    text = printed(made(healthy(), [alert("DiskSpaceLow", "warning")]))

    assert text.splitlines()[:2] == ["edge-1: needs attention", "  warning: DiskSpaceLow happened"]
    assert "100.0 GB free of 200.0 (50%)" in text
    assert "5 min ago (22:08:20Z)" in text
    assert "due in 2 h" in text


def test_an_empty_device_is_printed_too() -> None:
    assert printed(made([], [])).splitlines()[0] == "edge-1: all is well"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_tables_fit_the_terminal_and_leave_no_words_of_the_state_out(width: int) -> None:
    found = status(gather(device(NOW, broken=True)), Known([alert("A" * 30, "error")], NOW), "edge-1", NOW)
    shown = [click.unstyle(line) for line in cli.lines(found, width)]
    stages = shown[shown.index("Stages") + 1 : shown.index("DVRs")]

    assert [line for line in shown[shown.index("Containers") :] if len(line) > width] == []
    words = " ".join(" ".join(stages).split())
    for word in ("running,", "over", "limit", "succeeded,", "failed,", "crashed"):
        assert word in words


@pytest.mark.parametrize("lines", [10, 24])
def test_while_it_is_watched_what_is_urgent_is_on_the_screen(lines: int) -> None:
    found = status(gather(device(NOW, broken=True)), Known([alert("A", "error")], NOW), "edge-1", NOW)
    shown = [click.unstyle(line) for line in cli.on_screen(found, os.terminal_size((100, lines)), watch=True)]

    assert shown[:2] == ["edge-1: needs attention", "  error: A happened"]
    assert len(shown) == lines - 1
    assert shown[-1].endswith("more lines: vv status")


def test_the_last_line_on_a_terminal_is_the_verdict_unless_all_of_it_is_seen() -> None:
    found = made(healthy(), [alert("A", "error")])
    seen = cli.on_screen(found, os.terminal_size((200, 100)), watch=False)
    longer = cli.on_screen(found, os.terminal_size((200, 10)), watch=False)

    assert seen == cli.lines(found, 200)
    assert click.unstyle(longer[-1]) == "edge-1: needs attention; first: error: A happened"


def test_addresses_are_not_broken_so_that_a_terminal_can_open_them() -> None:
    found = made(healthy(), [alert("A", "error", annotations={"summary": "s", "runbook_url": "https://" + "x" * 99})])

    assert "  https://" + "x" * 99 in cli.lines(found, 80)


@pytest.mark.parametrize("broken", [False, True])
def test_a_section_is_bad_exactly_when_a_trouble_says_why(broken: bool) -> None:
    found = status(gather(device(NOW, broken=broken)), Known([], NOW), "edge-1", NOW)
    bad = [table.id for table in sections(found) if table.level == "bad"]

    assert bad == (["containers", "stages", "dvrs", "jobs", "storage", "videos"] if broken else [])
    assert found.ok is not broken


class Answer:
    def __init__(self, document: Status) -> None:
        self.status_code = 200
        self.text = msgspec.json.encode(document).decode()

    def raise_for_status(self) -> None:
        return None


@pytest.mark.parametrize(("alerts", "code"), [([], 0), ([alert("A", "error")], 1)])
def test_the_exit_code_says_whether_all_is_well(
    alerts: list[dict[str, Any]], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = made(healthy(), alerts)
    monkeypatch.setattr(_client.requests, "get", lambda *args, **kwargs: Answer(document))

    assert CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"]).exit_code == code
    result = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1", "--json"])
    assert json.loads(result.stdout)["device"] == "edge-1"


def uncleaned(stage: str) -> Family:
    """As an exporter would show a stage's name that cleans nothing."""
    family = GaugeMetricFamily(pipeline.STAGE_RUNNING.name, "", labels=["stage"])
    family.add_metric([stage], 1)
    return family


def test_hostile_names_do_not_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    document = made(replaced(uncleaned("\x1b[2J\x07\x9bscan\u202e\u200b\u2066\ufeff")), [])
    monkeypatch.setattr(_client.requests, "get", lambda *args, **kwargs: Answer(document))

    output = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"]).stdout
    assert "scan" in output
    assert not any(char in output for char in "\x1b\x07\x9b\u202e\u200b\u2066\ufeff")
    printed = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1", "--json"]).stdout
    assert not any(char in printed for char in "\x1b\x07\x9b\u202e\u200b\u2066\ufeff")
    assert "\x9bscan\u202e\u200b\u2066\ufeff" in json.dumps(json.loads(printed), ensure_ascii=False)


@pytest.mark.parametrize("name", ["\\u001b", "a\\\\u0007b", "back\\\\slash", '"', "tab\tend", "\u2028"])
def test_whatever_a_name_looks_like_the_document_stays_readable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    document = status(replaced(uncleaned(name)), Known([], NOW), "edge-1", NOW)
    monkeypatch.setattr(_client.requests, "get", lambda *args, **kwargs: Answer(document))

    result = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"])
    assert result.exit_code == 0
    assert " ".join(name.split()) in result.stdout
    assert json.loads(CliRunner().invoke(cli.command, ["--json"]).stdout)["stages"][0]["name"] == name


def test_an_exporter_that_does_not_answer_is_one_line_and_exit_code_1() -> None:
    result = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"])

    assert result.exit_code == 1
    assert result.stderr == (
        "vv: the exporter does not answer at http://127.0.0.1:1/api/v1/status (ConnectionError); is it running?\n"
    )
