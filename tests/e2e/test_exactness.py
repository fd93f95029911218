"""Eight scripts write, the exporter is killed twenty times at any moment: every count is exact, and none goes back."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from tests.support.exporter import Exporter
from tests.support.journals import RawWriter
from tests.support.waiting import wait_until

WRITERS = 8
EVENTS = 20_000
KILLS = 20
PER_TURN = EVENTS // KILLS

# Of a hundred events: an alert and a heartbeat, ten runs of a stage that fail, and runs that succeed.
SCRIPT = """
import sys
from vv_core.alerter import send_alert
from vv_core.jobs import heartbeat
from vv_core.stages import stage
number, done = int(sys.argv[1]), 0
for line in sys.stdin:
    target = done + int(line)
    while done < target:
        if done % 100 == 98:
            send_alert("ERROR", f"Alert of writer {number}", "again", "writer.py")
            heartbeat(f"job{number}")
        elif done % 10 == 0:
            try:
                with stage(f"stage{number}", component="writer.py"):
                    raise ValueError("this one fails")
            except ValueError:
                pass
        else:
            with stage(f"stage{number}", component="writer.py"):
                pass
        done += 2
    print(done, flush=True)
"""


def test_every_event_is_counted_once_however_often_the_exporter_is_killed(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    print(f"seed {seed}")
    exporter = Exporter(tmp_path / "state")
    env = {**os.environ, **exporter.environ}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        for number in range(WRITERS)
    ]
    try:
        for _ in range(KILLS):
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write(f"{PER_TURN}\n")
                writer.stdin.flush()
            exporter.begin()
            time.sleep(chance.uniform(0.3, 1.2))  # the moment of the kill is the subject: no condition to wait for
            exporter.kill()
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
            assert writer.wait(60) == 0
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            assert writer.stdout is not None
            writer.stdout.close()

    with exporter:
        wait_until(lambda: not list((tmp_path / "state" / "journal").iterdir()), 120, what="an empty journal")
        metrics = exporter.metrics()

    alerts = EVENTS // 100
    failures = EVENTS // 10
    runs = EVENTS // 2 - alerts
    for number in range(WRITERS):
        stage = f'stage="stage{number}"'
        assert metrics[f'vv_job_runs_total{{job="job{number}",result="success"}}'] == alerts
        assert metrics[f'vv_stage_duration_seconds_count{{outcome="failure",{stage}}}'] == failures
        assert metrics[f'vv_stage_duration_seconds_count{{outcome="success",{stage}}}'] == runs - failures
        assert metrics[f'vv_stage_duration_seconds_count{{outcome="crashed",{stage}}}'] == 0
        assert metrics[f"vv_stage_running{{{stage}}}"] == 0
    assert metrics['vv_alert_events_total{component="writer.py",severity="error"}'] == WRITERS * alerts
    assert metrics['vv_events_total{type="stage.started"}'] == WRITERS * runs
    assert metrics['vv_events_total{type="stage.finished"}'] == WRITERS * runs
    assert not [sample for sample in metrics if sample.startswith("vv_events_rejected_total")]
    assert not [sample for sample in metrics if sample.startswith("vv_events_dropped_total")]


def test_what_a_scrape_has_seen_the_first_one_after_a_kill_sees_again(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path / "state", VV_COMMIT_INTERVAL="1h")
    beats = 'vv_events_total{type="heartbeat"}'
    with exporter:
        writer = RawWriter(tmp_path / "state" / "journal", "w")
        for _ in range(3):
            seen = (exporter.metrics().get(beats) or 0) + 500
            for _ in range(500):
                writer.event("heartbeat", ts=time.time(), job="nightly")
            exporter.wait_for(beats, seen, 60)
            exporter.kill()
            assert committed(tmp_path / "state") < seen  # it was shown, and would be lost
            exporter.begin()
            assert first_scrape(exporter)[beats] == seen
        writer.close()


def first_scrape(exporter: Exporter) -> dict[str, float]:
    """What the first one that is answered shows to Prometheus."""
    found: list[dict[str, float]] = []

    def scrape() -> bool:
        found.append(exporter.scraped())
        return True

    wait_until(scrape, 60, what="a scrape")
    return found[-1]


def committed(state: Path) -> float:
    """How many heartbeats the database has."""
    with sqlite3.connect(state / "exporter" / "state.db") as connection:
        found = connection.execute(
            "SELECT value FROM series WHERE metric = 'vv_events_total' AND labels = '[\"heartbeat\"]'"
        ).fetchone()
    return float(found[0]) if found else 0.0
