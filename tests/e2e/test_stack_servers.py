"""The real servers run here, as root or not, and the test helpers speak with them."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ports import free_port
from tests.support.receivers import AlertmanagerWebhook
from tests.support.servers import Alertmanager, Programs, Prometheus, check
from tests.support.waiting import wait_until
from vv_exporter.common.programs import home
from vv_exporter.stack.servers import alertmanager_command, ready

pytestmark = pytest.mark.prometheus

NOBODY = 65534
ROOT = Path(__file__).parents[2]
ALERTMANAGER_CONFIG = """
route: {receiver: nobody}
receivers: [{name: nobody}]
"""
TOLD_ONCE_CONFIG = """
route: {{receiver: somebody, group_by: ["..."], group_wait: 1s}}
inhibit_rules:
  - source_matchers: [alertname="Cause"]
    target_matchers: [alertname="Effect"]
receivers:
  - name: somebody
    webhook_configs: [{{url: "{url}"}}]
"""
PROMETHEUS_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: itself
    static_configs: [{{targets: ["127.0.0.1:{prometheus}"]}}]
"""
RULES = """
groups:
  - name: test
    rules:
      - alert: ItselfUp
        expr: up{job="itself"} == 1
        labels: {severity: info}
"""


def test_an_alert_goes_from_prometheus_to_alertmanager(tmp_path: Path, programs: Programs) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(ALERTMANAGER_CONFIG)
    with Alertmanager(config, tmp_path / "alertmanager", programs) as alertmanager:
        port = free_port()
        scraping = tmp_path / "prometheus.yml"
        scraping.write_text(PROMETHEUS_CONFIG.format(alertmanager=alertmanager.port, prometheus=port))
        (tmp_path / "rules.yml").write_text(RULES)
        check(programs.promtool, "check", "config", scraping)
        with Prometheus(scraping, tmp_path / "prometheus", programs, port) as prometheus:
            wait_until(lambda: prometheus.value('up{job="itself"}') == 1, 20, what="the target")
            (alert,) = wait_until(lambda: alertmanager.alerts("ItselfUp"), 30, what="the alert")

            assert alert["labels"]["severity"] == "info"
            assert [found["state"] for found in prometheus.alerts("ItselfUp")] == ["firing"]
            assert [target["health"] for target in prometheus.targets()] == ["up"]
            assert [rule["health"] for rule in prometheus.rules()] == ["ok"]


def test_a_clock_that_was_a_day_ahead_stops_nothing(tmp_path: Path, programs: Programs) -> None:
    """What Prometheus stored with that clock lies in the future: it must take, and judge, what comes now."""
    history, ahead = tmp_path / "history.om", time.time() + 86400
    history.write_text("\n".join(f"past{{}} 1 {ahead + 10 * step:.0f}" for step in range(60)) + "\n# EOF\n")
    folder = tmp_path / "prometheus"
    check(programs.promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", history, folder / "data")
    port = free_port()
    scraping = tmp_path / "prometheus.yml"
    product = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    document = yaml.safe_load(PROMETHEUS_CONFIG.format(alertmanager=free_port(), prometheus=port))
    scraping.write_text(yaml.safe_dump(document | {"storage": product["storage"]}))
    (tmp_path / "rules.yml").write_text(RULES)
    with Prometheus(scraping, folder, programs, port) as prometheus:
        wait_until(lambda: prometheus.value('up{job="itself"}') == 1, 20, what="a sample of now")
        wait_until(lambda: prometheus.alerts("ItselfUp"), 20, what="the alert")


def test_a_new_configuration_is_read(tmp_path: Path, programs: Programs) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(ALERTMANAGER_CONFIG)
    with Alertmanager(config, tmp_path / "data", programs) as alertmanager:
        config.write_text(ALERTMANAGER_CONFIG.replace("nobody", "somebody"))
        alertmanager.reload()

        assert b"somebody" in alertmanager.get("/api/v2/status")


def test_alertmanager_keeps_its_silences_over_a_restart(tmp_path: Path, programs: Programs) -> None:
    config = tmp_path / "alertmanager.yml"
    config.write_text(ALERTMANAGER_CONFIG)
    with Alertmanager(config, tmp_path / "data", programs) as alertmanager:
        silence = {
            "matchers": [{"name": "alertname", "value": "A", "isRegex": False}],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2100-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "test",
        }
        alertmanager.post("/api/v2/silences", silence)
        alertmanager.stop()
        alertmanager.start()
        alertmanager.post_alert({"alertname": "A"})
        (alert,) = wait_until(lambda: alertmanager.alerts("A"), 10, what="the alert")

        assert alert["status"]["state"] == "suppressed"


def test_what_inhibits_comes_in_time_after_a_start(tmp_path: Path, programs: Programs) -> None:
    """Prometheus and the exporter send what lasts one after the other, and the alerts are older than any wait."""
    config = tmp_path / "alertmanager.yml"
    with AlertmanagerWebhook() as told:
        config.write_text(TOLD_ONCE_CONFIG.format(url=told.url))
        with Alertmanager(config, tmp_path / "data", programs) as alertmanager:
            since = "2020-01-01T00:00:00Z"
            for name in ("Effect", "Cause"):
                alertmanager.post("/api/v2/alerts", [{"labels": {"alertname": name}, "startsAt": since}])
                wait_until(lambda name=name: alertmanager.alerts(name), 10, what=name)
            told.wait_for(lambda request: b"Cause" in request.body, 30)

        assert told.matching(lambda request: b"Effect" in request.body) == []


def test_alertmanager_finds_its_templates_for_a_user_without_rights(programs: Programs) -> None:
    """Wherever it lies and is started, though Debian's build looks below /usr."""
    folder = Path(tempfile.mkdtemp())
    try:
        program = _copy_for_everyone(programs.alertmanager, folder)
        config = folder / "alertmanager.yml"
        config.write_text(ALERTMANAGER_CONFIG)
        data = folder / "data"
        data.mkdir(mode=0o777)
        data.chmod(0o777)
        port = free_port()
        other: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        server = subprocess.Popen(
            alertmanager_command(program, config, data, port), cwd="/", stderr=subprocess.DEVNULL, **other
        )
        try:
            wait_until(lambda: server.poll() is not None or ready(port), 20, what="Alertmanager")
            assert server.poll() is None, "it did not start"
        finally:
            server.terminate()
            server.wait()
    finally:
        shutil.rmtree(folder)


def _copy_for_everyone(program: Path, folder: Path) -> Path:
    """A fetched Alertmanager lies in a checkout that others may be unable to enter."""
    if program.parent != home() / "bin":
        return program
    for part in ("bin/alertmanager", "lib/alertmanager", "share/alertmanager"):
        source, target = home() / part, folder / part
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    folder.chmod(0o755)
    return folder / "bin" / "alertmanager"
