"""Footage as series: how far back it will reach, and what the settings say of each camera."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.clock import Clock
from vv_exporter.collectors.footage import FootageCollector
from vv_exporter.footage.ledger import DAY, milliseconds
from vv_exporter.footage.segments import recorded
from vv_exporter.probes.footage_files import Seen
from vv_exporter.services import Services
from vv_exporter.settings import load
from vv_exporter.state.store import Store

SECONDS = DAY / 1000
CONFIG = """
footage:
  gate: {files: "{dvr}_{start:%s}.mp4", essential: true, retention: 30d, signed_within: 6h, dvr_keeps: 7d}
  yard: {}
"""


class Site:
    """A storage with room for five days at the rate of all cameras, and what a look at the files found."""

    def __init__(self, store: Store, clock: Clock, folder: Path, **environ: str) -> None:
        self.store, self.clock = store, clock
        (folder / "vv.yml").write_text(CONFIG)
        settings = load({"VV_CONFIG": str(folder / "vv.yml"), "VIDEO_STORAGE_ROOT": str(folder), **environ})
        self.seen: dict[str, Seen] = {}
        status = SimpleNamespace(usage=SimpleNamespace(free=5 * SECONDS * 1000))
        storage = SimpleNamespace(status=lambda: status)
        files = SimpleNamespace(last=lambda: self.seen)
        services = SimpleNamespace(
            store=store, clock=clock, settings=settings, footage_files=files, filesystems={"video_storage": storage}
        )
        self.collector = FootageCollector(cast(Services, cast(Any, services)))

    def record(self, *days_ago: float) -> None:
        for days in days_ago:
            end = milliseconds(self.clock() - days * SECONDS)
            with self.store.transaction() as tx:
                recorded(tx, "gate", end - 60_000, end)

    def shown(self, name: str) -> dict[str, float]:
        samples = [sample for family in self.collector.collect() for sample in family.samples if sample.name == name]
        return {sample.labels.get("dvr", ""): sample.value for sample in samples}


def test_footage_reaches_back_its_age_and_what_there_is_room_for(store: Store, clock: Clock, tmp_path: Path) -> None:
    site = Site(store, clock, tmp_path)
    site.record(2)
    site.seen = {"gate": Seen(clock() - 2 * SECONDS - 60, 1000.0)}

    assert site.shown("vv_footage_retention_seconds") == {"gate": 7 * SECONDS + 60}


@pytest.mark.parametrize("deleted", [2 + 1 / 1440, 2.5, 2.9])
def test_what_the_recorder_deletes_is_not_made_up_by_the_room_that_is_left(
    store: Store, clock: Clock, tmp_path: Path, deleted: float
) -> None:
    """The ledger has footage of just before the oldest file."""
    site = Site(store, clock, tmp_path)
    site.record(2 - 1 / 1440, deleted)
    site.seen = {"gate": Seen(clock() - 2 * SECONDS, 1000.0)}

    assert site.shown("vv_footage_retention_seconds") == {"gate": 2 * SECONDS}


def test_what_is_said_of_each_camera_is_shown_and_else_what_holds_for_all(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    site = Site(store, clock, tmp_path, VV_FOOTAGE_RETENTION="10d", VV_FOOTAGE_MISSING="2m")

    assert site.shown("vv_threshold_footage_retention_seconds") == {"gate": 30 * SECONDS, "yard": 10 * SECONDS}
    assert site.shown("vv_threshold_footage_signed_seconds") == {"gate": 6 * 3600}
    assert site.shown("vv_threshold_footage_missing_seconds") == {"": 120}
    assert site.shown("vv_footage_essential") == {"gate": 1}
    assert site.shown("vv_footage_dvr_keeps_seconds") == {"gate": 7 * SECONDS}


def test_files_that_cannot_be_played_are_counted_where_files_were_looked_at(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    site = Site(store, clock, tmp_path)
    assert site.shown("vv_footage_corrupt_files") == {}
    site.seen = {"gate": Seen(None, None, 3), "yard": Seen(None, None)}

    assert site.shown("vv_footage_corrupt_files") == {"gate": 3, "yard": 0}
