"""The exporter verifies chained logs: what it finds is counted once, and shown for as long as it is so."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import chains
from tests.support.clock import Clock
from vv_core import _chains
from vv_core.signing import sign_payload
from vv_exporter.collectors.chains import ChainsCollector
from vv_exporter.journal.events import ChainOutside
from vv_exporter.journal.folds import Source
from vv_exporter.journal.folds.chains import HANDLERS
from vv_exporter.probes import chains as probe
from vv_exporter.probes.chains import ChainVerifier, keys_created
from vv_exporter.settings import load
from vv_exporter.state import timeline
from vv_exporter.state.store import Store


@pytest.fixture(autouse=True)
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in chains.environment_of(tmp_path / "state", chains.key_file(tmp_path / "keys")).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "logs").mkdir()
    _chains.reset()
    yield tmp_path / "logs" / "loglines.jsonl"
    _chains.reset()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock())
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(log: Path, store: Store, clock: Clock, tmp_path: Path) -> ChainVerifier:
    return ChainVerifier((f"{log}*",), tmp_path / "state" / "chains", store, clock, clock)


def sign(log: Path, count: int) -> list[chains.Line]:
    lines = [sign_payload({"line": number}, chain="loglines") for number in range(count)]
    for head in _chains._heads.values():
        head.finish()
    chains.append(log, lines)
    return lines


def verify(verifier: ChainVerifier, clock: Clock) -> None:
    """One whole verification."""
    clock.advance(probe.INTERVAL_SECONDS)
    before = verifier.last
    while verifier.last is before:
        verifier.round()


def shown(store: Store, verifier: ChainVerifier) -> dict[str, float]:
    """All samples of the collector that are not 0, by name and labels."""
    collector = ChainsCollector(store, load({}), verifier)
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in collector.collect()
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_created", "_seconds"))
    }


def rewrite(log: Path, change: Callable[[list[chains.Line]], object]) -> None:
    lines = chains.read_lines(log)
    change(lines)
    log.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def test_a_chain_that_is_whole(log: Path, store: Store, verifier: ChainVerifier, clock: Clock) -> None:
    sign(log, 5)
    assert shown(store, verifier) == {"vv_chain_length loglines": 5}

    verify(verifier, clock)

    assert shown(store, verifier) == {"vv_chain_length loglines": 5, "vv_chain_lines loglines": 5}
    assert verifier.complete_at == clock()
    later = ChainVerifier((str(log),), log.parent, store, clock, clock)  # the exporter is restarted
    assert later.complete_at == clock()


def test_when_a_line_was_last_signed_outside_of_its_chain_is_shown(
    verifier: ChainVerifier, clock: Clock, tmp_path: Path
) -> None:
    settings, source, store = load({}), Source("w", "agent_dvr.py"), Store(tmp_path / "another.db", clock)
    for chain, wait in (("loglines", 0.0), ("events", 500.0), ("loglines", 500.0)):
        clock.advance(wait)
        event = ChainOutside(v=1, ts=clock() - 100, chain=chain, reason="disk full")
        with store.transaction() as tx:
            HANDLERS[ChainOutside](tx, event, source, settings)

    families = ChainsCollector(store, settings, verifier).collect()
    found = {
        sample.labels["chain"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "vv_chain_outside_timestamp_seconds"
    }
    store.close()
    assert found == {"loglines": clock(), "events": clock() - 500}


def test_a_break_is_counted_once_and_shown_while_it_is_there(
    log: Path, store: Store, verifier: ChainVerifier, clock: Clock
) -> None:
    sign(log, 9)
    rewrite(log, lambda lines: lines.pop(4))
    broken = {"vv_chain_broken loglines": 1, "vv_chain_breaks_total loglines missing": 1}

    for _ in range(3):
        verify(verifier, clock)
        assert broken.items() <= shown(store, verifier).items()

    told = timeline.read(store, timeline.Filter()).moments
    assert [moment.details for moment in told] == [f"number 5 is missing: {log}:5 was signed after that"]
    log.rename(log.with_name("away"))
    sign(log, 2)
    verify(verifier, clock)
    assert "vv_chain_broken loglines" not in shown(store, verifier)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_log_that_was_cut_off_is_noticed_also_without_the_devices_head(
    log: Path, store: Store, verifier: ChainVerifier, clock: Clock, tmp_path: Path, restarted: bool
) -> None:
    sign(log, 9)
    verify(verifier, clock)
    rewrite(log, lambda lines: lines.__delitem__(slice(6, None)))
    shutil.rmtree(tmp_path / "state" / "chains")
    _chains.reset()
    if restarted:
        verifier = ChainVerifier((str(log),), tmp_path / "state" / "chains", store, clock, clock)

    verify(verifier, clock)

    assert shown(store, verifier)["vv_chain_broken loglines"] == 1


def test_what_was_rotated_away_is_no_break(log: Path, store: Store, verifier: ChainVerifier, clock: Clock) -> None:
    sign(log, 5)
    verify(verifier, clock)
    log.unlink()
    sign(log, 5)

    verify(verifier, clock)

    assert "vv_chain_broken loglines" not in shown(store, verifier)


def test_a_rotation_in_the_middle_accuses_nobody(
    log: Path, store: Store, verifier: ChainVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = log.with_name(log.name + ".1")
    sign(older, 5)
    sign(log, 5)
    monkeypatch.setattr(probe, "BYTES_PER_SECOND", 1)
    for _ in range(7):
        assert verifier.round()
    older.rename(log.with_name(log.name + ".2"))
    log.rename(older)
    sign(log, 5)
    while verifier._work is not None:
        verifier.round()

    assert verifier.last is None
    verify(verifier, clock)
    assert shown(store, verifier) == {"vv_chain_length loglines": 15, "vv_chain_lines loglines": 15}


def test_a_file_that_cannot_be_read_is_neither_fine_nor_a_break(
    log: Path, store: Store, verifier: ChainVerifier, clock: Clock
) -> None:
    sign(log, 5)
    lines = sign(log.with_name("elsewhere"), 5)
    os.mkfifo(log.with_name(log.name + ".pipe"))
    sign(log, 5)
    assert lines

    verify(verifier, clock)

    assert "vv_chain_broken loglines" not in shown(store, verifier)
    assert verifier.last is not None
    assert not verifier.last.complete
    assert verifier.complete_at == 0


def test_a_key_that_is_not_here_is_neither_fine_nor_a_break(
    log: Path, store: Store, verifier: ChainVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(log, 5)
    monkeypatch.delenv("VV_HMAC_KEY_FILE")
    monkeypatch.delenv("VV_HMAC_KEYS_DIR")

    verify(verifier, clock)

    assert verifier.last is not None
    assert not verifier.last.complete


def test_a_round_reads_what_a_second_is_for(
    log: Path, verifier: ChainVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(log, 10)
    monkeypatch.setattr(probe, "BYTES_PER_SECOND", len(log.read_bytes()) // 5)
    rounds = 1
    while verifier.last is None:
        assert verifier.round()
        rounds += 1

    assert 5 <= rounds <= 8
    assert verifier.round() is False
    clock.advance(probe.INTERVAL_SECONDS - 1)
    assert verifier.round() is False
    clock.advance(1)
    assert verifier.round() is True


def test_the_age_of_keys(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    os.utime(chains.key_file(folder, "2025-01"), (1000, 1000))
    os.utime(folder / "2026-01.key", (2000, 2000))
    environ = {"VV_HMAC_KEY_FILE": str(folder / "2026-01.key"), "VV_HMAC_KEYS_DIR": str(folder)}

    assert keys_created(environ) == {"2025-01": 1000, "2026-01": 2000}
    assert keys_created({"VV_HMAC_KEYS_DIR": "/nowhere", "VV_HMAC_KEY_FILE": "/nowhere/a.key"}) == {}
    assert keys_created({}) == {}
