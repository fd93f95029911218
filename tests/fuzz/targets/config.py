"""`vv.yml`: settings, or lines that each name a key. Never anything else, and never for long."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence

from tests.fuzz.mutators import PIECES, evil, mutate_bytes, mutate_lines
from tests.fuzz.targets._device import CONFIG, Device, temporary
from vv_exporter.settings import SettingsError, load
from vv_exporter.settings.loading import secret_files

YAML = (
    *(
        b"*a",
        b"&a [*a]",
        b"&a {b: *a}",
        b"!!python/object:os.system [id]",
        b"!!binary aGk=",
        b"!!set {a, b}",
        b"!!float .nan",
    ),
    *(
        b"!!timestamp 2026-13-99",
        b"2026-01-31",
        b"2026-01-31 99:99:99",
        b"12:30:45",
        b"0o17",
        b"0x_",
        b"1_000",
        b"0b2",
        b".inf",
    ),
    *(
        b"<<: {a: 1}",
        b"? [a]\n: b",
        b"{[a]: b}",
        b"{{a: b}: c}",
        b"~",
        b"yes",
        b"off",
        b"!!int x",
        b"!!omap [a: 1]",
        b"!!int ''",
    ),
    *(
        b"- a\n- b",
        b"|\n  text",
        b">-\n  folded",
        b"'it''s'",
        b'"\\uD800"',
        b'"\\x00"',
        b"\xef\xbb\xbf",
        b"%YAML 9.9\n---",
        b"...",
    ),
    *(
        b"--- a\n--- b",
        b"[" * 500,
        b"{a: " * 500,
        b"- " * 300,
        b"&x " * 50,
        b"!<tag:yaml.org,2002:str> 5",
        b"@",
        b"`",
        b"\t",
    ),
    *(b"-9" * 40, b"9" * 5_000, b"0003-01-01", b"9999-12-31T23:59:59+99:99", b"=", b"!!null x", b"!!bool maybe"),
)
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter + 1, letter + 1, b",".join([b"*%c" % letter] * 9)) for letter in range(97, 105)
)
SEEDS = [
    CONFIG.encode(),
    b"settings:\n  VV_DEVICE_ID: edge-1\n  DISK_WARNING_FREE: 20%,50GB\n  DIGEST_AT: off\n  DVR_FAILURES: 3\n",
    b"dvrs:\n  yard: {url: 'rtsp://10.0.0.1:554/live', username: viewer, interval: 30s}\n  gate: {url: rtsp://[::1]/x}\n",
    b"jobs:\n  nightly:\n    schedule: '0 3 * * 1-5'\n    timezone: Europe/Lisbon\n    grace: 15m\n",
    b"containers: {essential: [web, db], ignore: []}\nself_monitor: {projects: [vv], processes: {web: a.py}}\n",
    b"stages: {scan_video: {limit: 10m, limit_per_gb: 90, limit_per_minute: 1h}, other: }\n",
    b"{}",
    BOMB,
]


def problem_names_a_key(error: SettingsError) -> None:
    """Lines for people: each with a key, none of them endless."""
    assert error.problems, "refused without a reason"
    for problem in error.problems:
        key = problem.partition(":")[0]
        assert key, f"names no key: {problem[:200]!r}"
        assert "Traceback" not in problem


class Config:
    """The file is read as the exporter does; then its secrets' files are listed, as `vv config check` does."""

    batch = 20

    def __init__(self) -> None:
        self._folder = temporary()
        self._device: Device | None = None

    def seeds(self) -> Sequence[bytes]:
        return SEEDS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        how = rng.random()
        if how < 0.5:
            lines = seed.split(b"\n")
            place = rng.randrange(len(lines))
            name, mark, value = lines[place].partition(b": ")
            other = rng.choice((rng.choice(YAML), rng.choice(YAML), evil(rng), rng.choice(PIECES)))
            lines[place] = name + mark + other if rng.random() < 0.7 or not value else other + b": " + value
            return b"\n".join(lines)
        return (mutate_bytes if how < 0.75 else mutate_lines)(rng, seed, seeds)

    def feed(self, data: bytes) -> None:
        path = self._folder / "vv.yml"
        path.write_bytes(data)
        environ = {"VV_CONFIG": str(path), "VV_STATE_DIR": str(self._folder)}
        try:
            load(environ)
        except SettingsError as error:
            problem_names_a_key(error)
        secret_files(environ)

    def prove(self) -> None:
        path = self._folder / "vv.yml"
        path.write_text(CONFIG)
        assert load({"VV_CONFIG": str(path), "VV_STATE_DIR": str(self._folder)}).jobs["nightly"].schedule == "0 3 * * *"

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def build() -> Config:
    """Make it."""
    return Config()
