"""Recordings that are there and cannot be played: recorded once each, and kept for what is shown of a day."""

from __future__ import annotations

import os

import msgspec

from vv_core.common.texts import encodable
from vv_exporter.common.clock import isoformat
from vv_exporter.language import translatable
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

COMPONENT = "vv-exporter"
MAX_CORRUPT = 1000
PROBLEMS = {
    "empty": translatable("it is empty"),
    "no_container": translatable("it does not begin as a file of its kind does"),
    "no_index": translatable("its index is missing: the recorder was cut off"),
    "truncated": translatable("it ends too early"),
}
"""What may be wrong with a file, in words (`probes.footage_containers`)."""


class Corrupt(msgspec.Struct, frozen=True):
    """A recording that cannot be played: its camera, its time in milliseconds, what is wrong."""

    dvr: str
    start: int
    end: int
    problem: str


CORRUPT: Kind[Corrupt] = Kind("footage_corrupt", Corrupt, MAX_CORRUPT)


def record_corrupt_file(tx: Transaction, dvr: str, start: int, end: int, path: str, problem: str) -> None:
    """A recording cannot be played; it is recorded once."""
    key, found = encodable(path), Corrupt(dvr, start, end, problem)
    known = tx.get(CORRUPT, key)
    if known is not None and known.problem == problem:
        return
    tx.put(CORRUPT, key, found)
    error = sentence(
        "{start} to {end} cannot be played: {problem}",
        start=isoformat(start / 1000), end=isoformat(end / 1000), problem=Sentence(PROBLEMS.get(problem, problem)),
    )  # fmt: skip
    name = shorten(os.path.basename(key), MAX_NAME)  # noqa: PTH119 - may be no path of this system
    title = sentence("A recording of {dvr} cannot be played", dvr=dvr)
    add_to_timeline(tx, tx.now, Entry("footage.corrupt", title, "error", dvr, error, name))
    failure = Failure(COMPONENT, f"footage_corrupt:{dvr}", tx.now, name, error=shorten(error.spoken(), MAX_ERROR))
    remember(tx, failure)


def corrupt_between(store: Store, dvr: str, start: int, end: int) -> dict[str, Corrupt]:
    """Those of a camera that begin between two times, by their paths."""
    found = store.docs(CORRUPT).items()
    return {path: one for path, one in found if one.dvr == dvr and start <= one.start < end}
