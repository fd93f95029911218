"""A fleet's configuration whose signature is good: settings, or a refusal in words. Never anything else."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence

from tests.fuzz.mutators import as_json, mutate_bytes, mutate_json
from tests.fuzz.targets import config
from tests.fuzz.targets._device import temporary
from vv_exporter.fleet.config_document import (
    DocumentError,
    Signed,
    choose_release,
    join_signed,
    parse_document,
    split_signed,
)
from vv_exporter.settings import SettingsError, load_with_fleet_config
from vv_exporter.settings.fleet_config import KeptConfig

NOW = 1_700_000_000.0
GOOD = "settings: {DVR_DOWN: 1h}\nstages: {scan: {limit: 10m}}\njobs: {nightly: {schedule: '0 3 * * *'}}\n"
LABELS = {"device": "north-1", "site": "porto"}


def _signed(text: str) -> bytes:
    canary = {"version": 8, "valid_from": NOW - 60, "devices": ["site=porto", "south-7"], "config": text}
    document = {"format": 1, "releases": [canary, {"version": 7, "config": GOOD}]}
    return join_signed(Signed(bytes(64), as_json(document)))


SEEDS = [_signed(GOOD), *(_signed(seed.decode()) for seed in config.SEEDS)]


class FleetConfig:
    """All that is read after the signature was found good."""

    batch = 20

    def __init__(self) -> None:
        self._folder = temporary()
        self._texts = config.build()
        self._environ = {"VV_CONFIG": "", "VV_STATE_DIR": str(self._folder), "VIDEO_STORAGE_ROOT": "/srv"}

    def seeds(self) -> Sequence[bytes]:
        return SEEDS

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        """The whole file, the document in it, or the text of vv.yml in that."""
        how = rng.random()
        if how < 0.2:
            return mutate_bytes(rng, seed, seeds)
        if how < 0.6:
            head, _, document = seed.partition(b"\n")
            return head + b"\n" + mutate_json(rng, document, [one.partition(b"\n")[2] for one in seeds])
        text = self._texts.mutate(rng, rng.choice(config.SEEDS), config.SEEDS)
        return _signed(text.decode(errors="surrogateescape"))

    def feed(self, data: bytes) -> None:
        try:
            release = choose_release(parse_document(split_signed(data).document), LABELS, NOW)
            if release is not None:
                load_with_fleet_config(self._environ, KeptConfig(release.version, "", release.config))
        except (DocumentError, SettingsError) as error:
            problems = getattr(error, "problems", (str(error),))
            assert all((problems, *problems)), "refused without a reason"

    def prove(self) -> None:
        release = choose_release(parse_document(split_signed(SEEDS[0]).document), LABELS, NOW)
        assert release is not None
        assert load_with_fleet_config(self._environ, KeptConfig(8, "", release.config)).dvr_down == 3600

    def close(self) -> None:
        self._texts.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def build() -> FleetConfig:
    """Make it."""
    return FleetConfig()
