"""What is posted to the exporter in Alertmanager's name: notifications, and the events of its recorder."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz.mutators import as_json, mutate_json
from tests.fuzz.targets._device import Device

LIFETIME = 15_000
LABELS = {"alertname": "StageFailing", "severity": "critical", "component": "scan_video", "device": "edge-1"}
NOTES = {
    "summary": "It fails",
    "description": "twice",
    "runbook_url": "https://example.org",
    "alert_id": "1",
    "video": "a",
}
ALERT = {
    "status": "firing",
    "labels": LABELS,
    "annotations": NOTES,
    "startsAt": "2023-11-14T22:13:20.123Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://x",
    "fingerprint": "00000000000000ff",
}
ENDED = {**ALERT, "status": "resolved", "endsAt": "2023-11-14T22:23:20Z"}
POST = {
    "version": "4",
    "groupKey": "{}:{}",
    "receiver": "log",
    "status": "firing",
    "externalURL": "http://am",
    "alerts": [ALERT],
}
PAIRS = {"labels": [{"key": name, "value": value} for name, value in LABELS.items()]}
DETAILS = {"fingerprint": "255", "labels": PAIRS, "annotations": {"labels": []}, "startsAt": "2023-11-14T22:13:20Z"}
TAKEN = {
    "alerts": [{"hash": "1", "details": DETAILS}],
    "firingAlerts": [{"hash": "1"}],
    "groupInfo": {"receiverName": "slack-error"},
    "integration": {"name": "slack"},
}
SEEDS = [
    b"\n" + as_json(POST),
    b"\n" + as_json({**POST, "status": "resolved", "alerts": [ENDED]}),
    b"\n" + as_json({**POST, "alerts": [ALERT, ENDED, {**ALERT, "fingerprint": "aa"}]}),
    b"/events\n" + as_json({"data": {"notification": TAKEN}, "@timestamp": "2023-11-14T22:13:25Z"}),
    b"/events\n"
    + as_json({"data": {"silenceMutedAlert": {"mutedAlert": DETAILS}}, "@timestamp": "2023-11-14T22:13:25Z"}),
    b"/events\n" + as_json({"data": {"inhibitionMutedAlert": {"mutedAlert": DETAILS}}}),
]


class Alertmanager:
    """An input is a line that says where it is posted to, and the body."""

    batch = 100

    def __init__(self) -> None:
        self._device = Device()
        self._fed = 0

    def seeds(self) -> Sequence[bytes]:
        return SEEDS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        where, _, body = seed.partition(b"\n")
        return where + b"\n" + mutate_json(rng, body, [other.partition(b"\n")[2] for other in seeds])

    def feed(self, data: bytes) -> None:
        self._fed += 1
        where, _, body = data.partition(b"\n")
        path = "/api/v1/alertmanager" + ("/events" if where == b"/events" else "")
        status, answer = self._device.ask("POST", path, {"Authorization": f"Bearer {self._device.token}"}, body)
        assert status in (200, 400), f"answered with {status}: {answer[:300]!r}"

    def prove(self) -> None:
        headers = {"Authorization": f"Bearer {self._device.token}"}
        for seed in SEEDS:
            where, _, body = seed.partition(b"\n")
            status, answer = self._device.ask("POST", f"/api/v1/alertmanager{where.decode()}", headers, body)
            assert status == 200, f"a good post is answered with {status}: {answer[:300]!r}"
        self._device.prove()
        if self._fed > LIFETIME:
            self.close()
            self.__init__()  # type: ignore[misc]

    def close(self) -> None:
        self._device.close()


def build() -> Alertmanager:
    """Make it."""
    return Alertmanager()
