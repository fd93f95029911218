"""The power goes while alerts are written: what was told as written is there, and nothing is counted twice.

Each cut is a SIGKILL of the emulator, at a random instant. The device goes on writing from the same saved moment
before each, and what a cut leaves of the state's disk is read here by the product itself: a boot takes a minute.

What such a cut takes away: all that the device's kernel holds in memory (dirty pages, the journal of ext4 that is not
committed), what is under way to the disk, and what qcow2 keeps in the emulator until a flush: where a newly written
cluster lies, as a disk's cache loses what was not flushed. What it leaves, unlike a real one: writes to clusters that
the image has already, which went on to this machine; no sector is ever torn.
"""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable

import pytest
import requests

from tests.field.conftest import PROBED, SET_UP
from tests.field.machine import WAIT, Machine
from tests.support.exporter import QUIET, Exporter
from tests.support.waiting import wait_until

CUTS = 20
MOMENT = "writing"
MAY_BE_TORN = {f'vv_events_rejected_total{{reason="{reason}"}}' for reason in ("torn", "syntax")}
COUNT = 'vv_alert_events_total{component="field",severity="critical"}'


def numbers(told: str, word: str) -> set[int]:
    """Of the alerts of which the writer said `word`; what was cut off is no line."""
    return {int(number) for number in re.findall(rf"^{word} (\d+)\n", told, re.MULTILINE)}


def judge(told: str, metrics: Callable[[], dict[str, float]], get: Callable[[str], str]) -> None:
    """What must be true of the state that a cut left, once an exporter has read it."""
    begun, returned = numbers(told, "begun"), numbers(told, "returned")
    assert returned, "nothing was written before the cut"

    def is_read() -> bool:
        lost = returned - set(_kept(get))
        assert not lost, f"alerts that were told as written are lost: {lost}"
        return metrics()["vv_event_backlog_bytes"] == 0

    wait_until(is_read, WAIT, what="all that was told as written")
    shown, kept = metrics(), Counter(_kept(get))
    assert kept.keys() <= begun
    assert set(kept.values()) == {1}, "an alert is there twice"
    assert shown[COUNT] == len(kept), "counted twice, or not at all"
    rejected = {name: value for name, value in shown.items() if name.startswith("vv_events_rejected_total") and value}
    assert rejected.keys() <= MAY_BE_TORN
    assert sum(rejected.values()) <= 2, "more than what was written since the last alert that returned"


def _kept(get: Callable[[str], str]) -> list[int]:
    """The numbers of all alerts on the timeline, which has room for those of one cut."""
    titles = [moment["title"] for moment in json.loads(get("/api/v1/timeline?since=&limit=1000"))["moments"]]
    return [int(title.removeprefix("cut ")) for title in titles if re.fullmatch(r"cut \d+", title)]


@pytest.fixture(scope="module")
def told_before(device: Machine) -> str:
    """The device writes, and is saved at that moment, from which on it can be cut off again and again."""
    device.restore(SET_UP)
    device.set_clock(time.time())
    device.wait_for(PROBED, 1.0)
    device.check("chmod 666 $(readlink -f /dev/virtio-ports/field.writer)")
    device.check(
        "systemd-run --collect --uid=pipeline --gid=vv --setenv=VV_STATE_DIR=/var/lib/vv "
        "/opt/vv/bin/python /opt/field/writer.py"
    )
    wait_until(lambda: len(numbers(device.told.read_text(), "returned")) > 3, WAIT, what="alerts")
    device.qmp("stop")
    device.save(MOMENT)
    return device.told.read_text()


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_cut_leaves_what_was_promised(device: Machine, told_before: str, cut: int) -> None:
    device.restore(MOMENT)
    more = random.Random(cut).randint(1, 15)
    wait_until(lambda: len(numbers(device.told.read_text(), "returned")) >= more, WAIT, what="alerts")
    device.cut()

    with device.state(f"cut-{cut}") as state, Exporter(state, **QUIET) as exporter:
        judge(
            told_before + device.told.read_text(),
            exporter.metrics,
            lambda path: requests.get(exporter.url + path, timeout=60).text,
        )
