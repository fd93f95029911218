"""The bound of the journal: how much it takes, and what may go when nobody reads it (``docs/journal.md``)."""

from __future__ import annotations

import fcntl
import os
import stat
import time

from vv_core.common import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK = 4096
_SAMPLE = 1000
_LARGEST = 2 << 20  # writers go on to the next file at 1 MiB; a larger one would hold up whoever looks into it
_PAUSE = 5.0
_PATIENCE = 0.1
_MAX_COUNT = 1 << 53
_RESULTS = {"schema.validated": "valid", "hmac": "ok", "dvr.attempt": "ok"}  # what each calls a success


def usage(folder: str) -> int:
    """Bytes that the journal's files take on the disk: estimated from a sample when there are thousands."""
    names = [name for name in os.listdir(folder) if name.endswith(".jsonl")]
    sample = names[:: len(names) // _SAMPLE + 1]
    sizes = [_size_on_disk(os.path.join(folder, name)) for name in sample]
    return sum(sizes) * len(names) // len(sample) if sample else 0


def make_room(folder: str, wanted: int, patience: float = _PATIENCE) -> tuple[int, dict[str, int]]:
    """Delete the oldest files that hold nothing but successes until `wanted` bytes are free.

    Takes at most about `patience` seconds. Returns the bytes gained and how many events went, by component.
    """
    end = time.monotonic() + patience
    gained, gone = 0, dict[str, int]()
    names = sorted((n for n in os.listdir(folder) if n.endswith(".jsonl")), key=_age_of)
    for name, following in zip(names, [*names[1:], ""], strict=True):
        if gained >= wanted or time.monotonic() > end:
            break
        latest = _age_of(name)[0] != _age_of(following)[0]
        size, counts = _delete_if_dispensable(os.path.join(folder, name), latest)
        gained += size
        for component, count in counts.items():
            gone[component] = gone.get(component, 0) + count
    return gained, gone


def dispensable(content: Iterable[bytes], *, latest: bool = True) -> dict[str, int] | None:
    """Events by component if the lines tell of nothing but successes; None if any of them must be kept.

    A run that is not both begun and ended here is kept: it may have crashed, or its other half lies elsewhere. So is a
    link to a DVR that has not ended in its writer's `latest` file: its agent may have been killed. An account of losses
    passes into the result, and from there into the next account.
    """
    import json  # only here, where nobody is in a hurry

    counts: dict[str, int] = {}
    default, open_runs, links = "", set[str](), set[str]()
    for raw in content:
        try:
            event = json.loads(raw)
            kind, component = event["type"], event.get("component", default)
            if kind == "writer":
                default = component
                continue
            if kind != "dropped" and not _is_success(kind, event, open_runs):
                return None
            if kind.startswith("dvr.") and "dvr" in event:
                (links.discard if kind == "dvr.ended" else links.add)(str(event["dvr"]))
            name = texts.name(component)
            lost = max(0, min(int(event["count"]), _MAX_COUNT)) if kind == "dropped" else 1
            counts[name] = min(counts.get(name, 0) + lost, _MAX_COUNT)
        except Exception:  # a line of anybody's: one that is too deep raises `RecursionError`
            return None
    return None if open_runs or (links and latest) else counts


def _is_success(kind: str, event: dict[str, object], open_runs: set[str]) -> bool:
    run = str(event.get("run"))  # a script has but one, without a name
    if kind in ("stage.started", "job.started", "script.started"):
        open_runs.add(run)
        return True
    if kind == "script.ended":
        known = run in open_runs
        open_runs.discard(run)
        return known
    if kind in ("stage.finished", "job.finished"):
        known = run in open_runs
        open_runs.discard(run)
        return known and "success" in (event.get("outcome"), event.get("result"))
    if kind in _RESULTS:
        return event.get("result") == _RESULTS[kind]
    return kind in ("heartbeat", "stage.noted", "job.skipped", "dvr.frames", "dvr.ended", "supervisor.checked")


def _delete_if_dispensable(path: str, latest: bool) -> tuple[int, dict[str, int]]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0, {}
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink == 0 or status.st_size > _LARGEST:
            return 0, {}
        content = os.read(fd, status.st_size).splitlines()
        if not _is_complete(content, status):
            return 0, {}
        counts = dispensable(content, latest=latest)
        if counts is None:
            return 0, {}
        os.unlink(path)
    except (OSError, MemoryError):  # its writer lives, or it belongs to someone else
        return 0, {}
    else:
        return max(min(status.st_size, status.st_blocks * 512), _BLOCK), counts
    finally:
        os.close(fd)


def _is_complete(content: list[bytes], status: os.stat_result) -> bool:
    """Whether the writer is known to be gone; the lock alone says so of those who promise to hold it."""
    return (bool(content) and b'"lock":true' in content[0]) or abs(time.time() - status.st_mtime) > _PAUSE


def _age_of(name: str) -> tuple[str, int]:
    writer, _, seq = name.removesuffix(".jsonl").partition(".")
    return writer, int(seq) if seq.isdecimal() else 0


def _size_on_disk(path: str) -> int:
    try:
        status = os.stat(path, follow_symlinks=False)
        return max(min(status.st_size, status.st_blocks * 512), _BLOCK)  # of a sparse file, what it takes on the disk
    except OSError:
        return 0
