"""The environment: settings, or lines that each name a key; and the SDK, which takes its defaults."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Sequence

from tests.fuzz.mutators import PIECES, evil, mutate_bytes
from tests.fuzz.targets._device import temporary
from tests.fuzz.targets.config import problem_names_a_key
from vv_core.common import environment
from vv_exporter.settings import SettingsError, load
from vv_exporter.settings.catalogue import OTHER_VARIABLES, variables

VALUES = (
    *(
        b"1",
        b"0",
        b"-1",
        b"1.5",
        b"1e3",
        b"1e400",
        b"nan",
        b"inf",
        b"15m",
        b"2h",
        b"1d",
        b"90s",
        b"0s",
        b"1w",
        b"9" * 400 + b"d",
    ),
    *(
        b"5MB",
        b"1GiB",
        b"20%,50GB",
        b"100%",
        b"-5%",
        b"20%%",
        b",",
        b"1e30GB",
        b"nan%",
        b"infGB",
        b"22:00-06:00",
        b"25:61",
        b"off",
    ),
    *(
        b"07:00",
        b"Europe/Lisbon",
        b"../../etc/passwd",
        b"/etc/passwd",
        b"Factory",
        b"UTC\n",
        b"true",
        b"false",
        b"yes",
        b"leave",
        b"stop",
    ),
    *(
        b"http://x",
        b"https://u:p@x:99999/",
        b"http://[::1",
        b"http://[fe80::1%25eth0]:80",
        b"rtsp://u:p@h/x",
        b"rtsp://h:port/",
        b"rtsp://",
    ),
    *(
        b"~",
        b"~nobody/x",
        b"~nosuchuser/x",
        b"/tmp/",
        b"relative",
        b"a@b.c",
        b"host:25",
        b":25",
        b"host:",
        b"[::1]:25",
        b"*",
        b" edge-1 ",
    ),
    *(
        b"\xff\xfe",
        b"a\rb",
        b"a\tb",
        b"\xe2\x80\xae",
        b"'quoted'",
        b'"quoted"',
        b"$HOME",
        b"#comment",
        b"\xc2\xb2",
        b"\xd9\xa1",
        b"",
        b" ",
    ),
)


class Environment:
    """An input is lines NAME=VALUE."""

    batch = 40

    def __init__(self) -> None:
        self._folder = temporary()

    def seeds(self) -> Sequence[bytes]:
        known = [(one.name, one.default if isinstance(one.default, str) else "") for one in variables().values()]
        known += [(name, "1") for name in sorted(OTHER_VARIABLES - {"VV_CONFIG"})]
        lines = [f"{name}={default}".encode() for name, default in known]
        return [*lines, b"\n".join(lines[:20]), b"\n".join(lines[20:60]), b"\n".join(lines[60:])]

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        lines = seed.split(b"\n")
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(len(lines))
            name, _, value = lines[place].partition(b"=")
            if rng.random() < 0.5:
                value = rng.choice(VALUES)
            else:
                value = rng.choice((mutate_bytes(rng, value, seeds), evil(rng).strip(b'"'), rng.choice(PIECES)))
            if rng.random() < 0.03:
                name += rng.choice((b"_FILE", b"X", b"_"))
            lines[place] = name + b"=" + value.replace(b"\n", b" ").replace(b"\0", b"")[:20_000]
        if rng.random() < 0.2:
            lines.append(rng.choice(rng.choice(seeds).split(b"\n")))
        return b"\n".join(lines)

    def feed(self, data: bytes) -> None:
        pairs = [line.decode("utf-8", "surrogateescape").partition("=") for line in data.split(b"\n")]
        environ = {name: value for name, _, value in pairs if name and "\0" not in name + value}
        environ |= {"VV_CONFIG": str(self._folder / "none")} if "VV_CONFIG" in environ else {}
        try:
            load({"VV_STATE_DIR": str(self._folder), **environ})
        except SettingsError as error:
            problem_names_a_key(error)
        environment._complained.clear()
        limits = environment.log_max(environ), environment.journal_max(environ), environment.max_attempts(environ)
        assert all(limit >= 0 for limit in limits)
        for asked in (environment.state_dir, environment.log_dir, environment.device_id):
            assert asked(environ)
        assert (environment.stage_limit("scan_video", environ) or 1.0) > 0

    def prove(self) -> None:
        assert load({"VV_STATE_DIR": str(self._folder), "VV_DEVICE_ID": "edge-1"}).device_id == "edge-1"

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


logging.getLogger("vv_core").addHandler(logging.NullHandler())


def build() -> Environment:
    """Make it."""
    return Environment()
