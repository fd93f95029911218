"""The daily digest comes by mail, from the real exporter and to a real mail server, once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.digests import DAY, day
from tests.support.exporter import QUIET, Exporter
from tests.support.ports import free_port
from tests.support.receivers import MailServer
from tests.support.waiting import wait_until
from vv_exporter.common.schedule import next_due
from vv_exporter.digest.worker import MARK, Mark
from vv_exporter.state.store import Store

SENT = 'vv_relay_deliveries_total{destination="digest",result="ok"}'
FAILED = 'vv_relay_deliveries_total{destination="digest",result="failed"}'


@dataclass
class Site:
    """A device with a day behind it whose digest is due; nothing runs yet."""

    exporter: Exporter
    due: float

    def vv(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vv_exporter", *arguments],
            env={**os.environ, **self.exporter.environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server
        assert server.violations == []


def site_of(folder: Path, smarthost: str) -> Site:
    mailing = {
        "SMTP_SMARTHOST": smarthost,
        "SMTP_FROM": "vv@example.org",
        "ALERT_EMAIL_TO": "ana@example.org, rui@example.org",
        "SMTP_REQUIRE_TLS": "false",
    }
    environ = {
        "VV_DEVICE_ID": "edge-7",
        "VV_ALERTMANAGER_PORT": str(free_port()),
        **(mailing if smarthost else {}),
        "DIGEST_AT": "07:00",
        "DIGEST_TIMEZONE": "Europe/Lisbon",
    }
    due = next_due("0 7 * * *", "Europe/Lisbon", time.time() - DAY)
    store = Store(folder / "state" / "exporter" / "state.db", Clock(due))
    day(store, due)
    with store.transaction() as tx:
        tx.put(MARK, "", Mark(due - DAY))
    store.close()
    return Site(Exporter(folder / "state", **environ, **QUIET), due)


def test_it_comes_once_with_the_numbers_of_the_day(tmp_path: Path, mail: MailServer) -> None:
    site = site_of(tmp_path, mail.smarthost)
    with site.exporter:
        got = mail.wait_for(timeout=60)
        site.exporter.wait_for(SENT, 1)
        for _ in range(2):
            site.exporter.kill()
            site.exporter.start()
        sent_on_demand = site.vv("digest", "--since", "30d", "--send")
        mail.wait_for(lambda message: message is not got, timeout=60)
        due = site.exporter.metrics()["vv_digest_next_due_timestamp_seconds"]

    assert sent_on_demand.returncode == 0, sent_on_demand.stderr
    assert len(mail.received) == 2
    assert due == next_due("0 7 * * *", "Europe/Lisbon", site.due)
    assert got.recipients == ["ana@example.org", "rui@example.org"]
    assert got.subject.startswith("[DIGEST] edge-7: 6 alerts (1 critical, 4 error, 1 warning), 2 still open")
    for part in ("plain", "html"):
        for wanted in ("gate-0031.mp4", "11m 2s", "40 runs", "down for 1h", "full in 2d"):
            assert wanted in got.body(part), (part, wanted)


def test_a_mail_server_that_comes_late_gets_it_all_the_same(tmp_path: Path) -> None:
    server = MailServer()
    site = site_of(tmp_path, server.smarthost)
    with site.exporter:
        wait_until(lambda: site.exporter.metrics().get(FAILED, 0) >= 1, 60, what="a try without a server")
        with server:
            server.wait_for(timeout=90)
            site.exporter.wait_for(SENT, 1)
        log = site.exporter.log()

    assert len(server.received) == 1
    assert "the digest could not be sent, will try again: " in log


def test_on_demand_it_is_shown_and_without_a_mail_server_not_sent(tmp_path: Path) -> None:
    site = site_of(tmp_path, "")
    with site.exporter:
        text, document = site.vv("digest", "--since", "2d"), site.vv("digest", "--since", "2d", "--json")
        wrong, unsent = site.vv("digest", "--since", "yesterday"), site.vv("digest", "--send")
        shown = site.exporter.metrics()
    gone = site.vv("digest")

    assert "VIDEOS THAT FAILED MOST\n  5x /srv/video/input/gate-0031.mp4" in text.stdout
    assert json.loads(document.stdout)["alerts"]["still_open"] == 2
    assert (wrong.returncode, "give e.g. 1h" in wrong.stderr) == (2, True)
    assert (unsent.returncode, "SMTP_SMARTHOST: is not set" in unsent.stderr) == (2, True)
    assert (gone.returncode, "does not answer" in gone.stderr) == (1, True)
    assert [name for name in shown if name.startswith("vv_digest_")] == []
