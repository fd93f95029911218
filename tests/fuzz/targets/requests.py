"""Files in the self-monitor's mailbox, and its view: the containers are looked at, and what fails is given up."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from tests.fuzz.mutators import as_json, mutate_bytes, mutate_json
from tests.fuzz.targets._device import temporary
from tests.unit.supervisor.site import FAILED, Site
from vv_core.common.ids import uuid7_hex

ROUNDS = 30  # in which a container that always fails is given up
PLACES = ("requests/{id}.json", "requests/{id}.json", "requests/{id}.json", "requests/{name}", "view.json")
KINDS = {b"folder": Path.mkdir, b"pipe": os.mkfifo, b"link": lambda path: path.symlink_to("/dev/zero")}
LIFETIME = 2_000


class Requests:
    """An input is a line that says where, a line that says what kind of file, and its content."""

    batch = 20

    def __init__(self) -> None:
        self._folder = temporary()
        self._site = Site(self._folder, FAILED, "self_monitor: {containers: [web, db]}")
        (self._site.settings.self_monitor_dir / "requests").mkdir(exist_ok=True)
        self._fed = 0

    def seeds(self) -> Sequence[bytes]:
        wishes = [as_json({"action": action, "name": name}) for action in ("resume", "forget") for name in ("db", "x")]
        view = as_json({"checked": 1.5, "containers": []})
        return [
            *(b"0\nfile\n" + wish for wish in wishes),
            b"3\nfolder\n",
            b"0\npipe\n",
            b"0\nlink\n",
            b"4\nfile\n" + view,
        ]

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        place, kind, content = seed.split(b"\n", 2)
        if rng.random() < 0.2:
            place = b"%d" % rng.randrange(len(PLACES))
        if rng.random() < 0.1:
            kind = rng.choice([b"file", *KINDS])
        mutated = mutate_json if rng.random() < 0.7 else mutate_bytes
        return b"\n".join((place, kind, mutated(rng, content, [one.split(b"\n", 2)[2] for one in seeds])))

    def feed(self, data: bytes) -> None:
        place, kind, content = (*data.split(b"\n", 2), b"", b"")[:3]
        where = PLACES[int(place) % len(PLACES)] if place.isdigit() and len(place) < 9 else PLACES[0]
        name = content[:40].decode("latin-1").replace("/", "_").replace("\0", "_") or "x"
        path = self._site.settings.self_monitor_dir / where.format(
            id=uuid7_hex(), name="x" if name in (".", "..") else name
        )
        make = KINDS.get(kind)
        if os.path.lexists(path):
            return
        if make is not None:
            make(path)  # type: ignore[operator]
        else:
            path.write_bytes(content)
        self._fed += 1

    def prove(self) -> None:
        self._site.set(replace(FAILED, id=uuid7_hex()))
        self._site.calls.clear()
        self._site.events.clear()
        self._site.rounds(ROUNDS)
        assert self._site.calls == ["start"] * 3, f"the Engine was asked for {self._site.calls}"
        assert self._site.told("container.gave_up"), "nobody was told that it was given up"
        assert self._site.mailbox.view() is not None, "there is no view"
        if self._fed > LIFETIME:
            self.close()
            self.__init__()  # type: ignore[misc]

    def close(self) -> None:
        self._site.store.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def build() -> Requests:
    """Make it."""
    return Requests()
