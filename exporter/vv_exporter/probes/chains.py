"""Verifies the chained logs of ``VV_CHAIN_LOGS`` in the background, again and again; the age of the keys.

A verification reads all of the logs, `BYTES_PER_SECOND` of them, in rounds of a second: each goes on where the one
before stood. The heads are read before the logs, so that a line which is signed meanwhile is not missed. What was the
last line of a chain is kept, so that a log which was cut off is noticed also where the device's head was deleted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vv_core.chain import BREAKS, ChainCheck, Finding, Head, Report, kept_heads
from vv_core.common import environment
from vv_core.common.texts import path as printed_path
from vv_exporter.common.times import UnixTime
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.chains import CHAIN_BREAKS, CHAIN_BROKEN, CHAIN_LINES
from vv_exporter.probes.chain_files import lines_of, log_files
from vv_exporter.runtime.loop import NOT_WAITED_FOR, Loop
from vv_exporter.state.failures import MAX_ERROR, Failure, remember, shorten
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

INTERVAL_SECONDS = 3600.0
"""From the end of a verification to the next one."""
AFTER_ROTATION_SECONDS = 60.0
BYTES_PER_SECOND = 500_000
"""A few hundred lines: some percent of a small device's core, and of its disk."""
ROUND_SECONDS = 1.0
COMPONENT = "vv-exporter"
MAX_KEYS = 64
MAX_CHAINS = 100
NO_CHAIN = "unknown"
"""The chain of a line that says of none."""
_SUFFIX = ".key"


class KnownHead(msgspec.Struct, frozen=True):
    """The last line of a chain, as the last verification found it."""

    number: int
    mac: str
    key_id: str
    part: str


class KnownBreak(msgspec.Struct, frozen=True):
    """What was found and counted already."""

    first: int
    last: int


KNOWN_HEADS: Kind[KnownHead] = Kind("chain_head", KnownHead, MAX_CHAINS)
KNOWN_BREAKS: Kind[KnownBreak] = Kind("chain_break", KnownBreak, 1000)


class LastComplete(msgspec.Struct, frozen=True):
    """When the last complete verification ended."""

    at: UnixTime


LAST_COMPLETE: Kind[LastComplete] = Kind("chain_verified", LastComplete)


@dataclass(frozen=True, slots=True)
class Verified:
    """That a verification came to its end; what it found is in the store."""

    ended: float
    complete: bool
    """Whether every file could be read, and every line verified."""


class ChainVerifier:
    """A service; see the module. `patterns` are paths and patterns of logs."""

    def __init__(
        self,
        patterns: tuple[str, ...],
        folder: Path,
        store: Store,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._patterns, self._folder = patterns, str(folder)
        self._store, self._clock, self._monotonic = store, clock, monotonic
        self._work: Iterator[int] | None = None
        self._next = float("-inf")
        self.last: Verified | None = None
        """The last verification that came to its end."""
        self._loop = Loop(
            "chains", "the chains of signed lines", self.round, ROUND_SECONDS, at_once=True, stop_seconds=NOT_WAITED_FOR
        )

    @property
    def is_configured(self) -> bool:
        """Whether there are logs to verify."""
        return bool(self._patterns)

    @property
    def complete_at(self) -> float:
        """When the last verification ended that was complete, also before a restart (Unix seconds); 0: never."""
        last = self._store.document(LAST_COMPLETE, "")
        return last.at if last is not None else 0.0

    def start(self) -> None:
        """Begin."""
        if self._patterns:
            self._loop.start()

    def stop(self) -> None:
        """End; a verification that is not at its end begins again after the next start."""
        if self._patterns:
            self._loop.stop()

    def round(self) -> bool:
        """Verify what a second is for. False if there is nothing to do until later."""
        if self._work is None:
            if self._monotonic() < self._next:
                return False
            self._work = self._verify_logs()
        read = 0
        for size in self._work:
            read += size
            if read >= BYTES_PER_SECOND or self._loop.stopping:
                return True
        self._work = None
        return True

    def heads(self) -> list[Head]:
        """The heads of all chains, as they are now. Raises `OSError` if their folder cannot be read."""
        return kept_heads(self._folder)[:MAX_CHAINS]

    def _verify_logs(self) -> Iterator[int]:
        """Verify all; gives how many bytes were read since it gave the last time."""
        known = [Head(name, one.number, one.mac) for name, one in self._store.docs(KNOWN_HEADS).items()]
        check = ChainCheck(heads=self.heads(), known=known, keeps_up=True)
        unread = 0
        lines: dict[str, int] = {}
        files = {file: _file_identity(file) for file in log_files(self._patterns)}
        for file in files:
            name = printed_path(file, 300)
            try:
                for line, number in lines_of(file):
                    chain = check.add(line, f"{name}:{number}")
                    if chain and (chain in lines or len(lines) < MAX_CHAINS):
                        lines[chain] = lines.get(chain, 0) + 1
                    yield len(line)
            except OSError:
                unread += 1
        if any(_file_identity(file) != found for file, found in files.items()):
            self._next = self._monotonic() + AFTER_ROTATION_SECONDS
            return  # they were rotated meanwhile: what was in one file may have been read twice, or not at all
        self._next = self._monotonic() + INTERVAL_SECONDS
        self._save_report(check.finish(partial=unread > 0), lines, unread)

    def _save_report(self, report: Report, lines: Mapping[str, int], unread: int) -> None:
        broken = dict.fromkeys(lines, 0)
        with self._store.transaction() as tx:
            for finding in report.findings:
                if finding.breaks:
                    chain = finding.chain or NO_CHAIN
                    broken[chain] = broken.get(chain, 0) + 1
                    _count_break(tx, finding, chain, self._clock())
            for chain, count in broken.items():
                tx.ensure(CHAIN_BREAKS, *((chain, reason) for reason in BREAKS))
                tx.set(CHAIN_BROKEN, (chain,), count)
                tx.set(CHAIN_LINES, (chain,), lines.get(chain, 0))
            for chain in {labels[0] for labels, _ in self._store.series(CHAIN_BROKEN)} - broken.keys():
                tx.remove(CHAIN_BROKEN, (chain,))
                tx.remove(CHAIN_LINES, (chain,))
            for name, head in list(report.heads.items())[:MAX_CHAINS]:
                tx.put(KNOWN_HEADS, name, KnownHead(head.number, head.mac, head.key_id, head.part))
        complete = not unread and not report.unknown
        self.last = Verified(self._clock(), complete)
        if complete:
            with self._store.transaction() as tx:
                tx.put(LAST_COMPLETE, "", LastComplete(self.last.ended))


def _file_identity(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _count_break(tx: Transaction, finding: Finding, chain: str, now: float) -> None:
    """Count and report a break, once: verified again it is the same."""
    place = "" if finding.number else finding.where
    key = f"{chain}\n{finding.kind}\n{finding.number}-{finding.last}\n{place}"
    text = shorten(finding.text, MAX_ERROR)
    if tx.get(KNOWN_BREAKS, key) is None:
        tx.put(KNOWN_BREAKS, key, KnownBreak(finding.number, finding.last))
        tx.inc(CHAIN_BREAKS, (chain, finding.kind))
        title = sentence("The chain {chain} is broken: {kind}", chain=chain, kind=finding.kind)
        add_to_timeline(tx, now, Entry("chain.broken", title, "critical", COMPONENT, text))
        remember(tx, Failure(component=COMPONENT, kind=f"chain:{chain}", time=now, error=text))


def keys_created(environ: Mapping[str, str] = os.environ) -> dict[str, float]:
    """When each key of this process' environment was written, by its id: Unix seconds. Those not seen are left out."""
    own, folder = environment.path("VV_HMAC_KEY_FILE", environ), environment.path("VV_HMAC_KEYS_DIR", environ)
    paths = [Path(own)] if own else []
    if folder:
        with contextlib.suppress(OSError):
            paths += sorted(Path(folder).glob(f"*{_SUFFIX}"))[:MAX_KEYS]
    found: dict[str, float] = {}
    for path in paths:
        try:
            found.setdefault(path.name.removesuffix(_SUFFIX), path.stat().st_mtime)
        except OSError:
            continue
    return found
