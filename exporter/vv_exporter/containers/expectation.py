"""Which containers should be running, and which may be forgotten. Functions of the records and the settings.

A container is **expected** when it is listed (`containers.essential`, `containers.expected`), running or not, known or
not; or when it was seen running and has not ended on purpose:

- stopped by `docker stop` or `docker compose down` (also when the Engine's restart policy was overruled while nobody
  looked): not expected any more;
- ended by itself with exit code 0, and its policy does not start it again: a finished one-shot, not expected;
- replaced under another name: a task of a swarm whose slot has a newer one that runs, a container of compose that was
  recreated; expected is the one that has its place, and when the old one is gone its series end;
- run with `--rm`, or gone before anything was known of it: never expected;
- everything else that ends a container (a crash, no memory, `docker kill`, the Engine, removal while it was
  expected) leaves it expected: it is down.

What `docker compose run` made, and names in `containers.ignore` (shell patterns), are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.settings import ContainersSettings

FORGET_AFTER = 3600.0  # seconds that a container which is gone and not expected keeps its series
MAX_MISSED = 100  # containers that are gone but expected; beyond that the first to go are forgotten


def listed(settings: ContainersSettings) -> frozenset[str]:
    """The names that are expected in any case."""
    return frozenset(settings.essential) | frozenset(settings.expected)


def expected(record: ContainerRecord, settings: ContainersSettings) -> bool:
    """Whether this container should be running."""
    return record.wanted or record.name in listed(settings)


def ignored(name: str, one_off: bool, settings: ContainersSettings) -> bool:
    """Whether this container is not looked at."""
    return one_off or any(fnmatchcase(name, pattern) for pattern in settings.ignore)


def gone_for_good(records: Iterable[ContainerRecord], settings: ContainersSettings, now: float) -> list[str]:
    """Names whose record and series are to go, since nobody expects them back, or another has taken their place."""
    every = list(records)
    taken = {record.place for record in every if record.place and record.state != GONE}
    old = (
        record for record in _gone_containers(every) if now - record.gone_at >= FORGET_AFTER or record.place in taken
    )
    return [record.name for record in old if not expected(record, settings)]


def over_limit(records: Iterable[ContainerRecord], settings: ContainersSettings) -> list[str]:
    """Names that are expected back and forgotten all the same, for nothing may grow for ever."""
    missed = [
        record.name for record in _gone_containers(records) if record.wanted and record.name not in listed(settings)
    ]
    return missed[: max(0, len(missed) - MAX_MISSED)]


def _gone_containers(records: Iterable[ContainerRecord]) -> list[ContainerRecord]:
    """The first to go come first."""
    return sorted((record for record in records if record.state == GONE), key=lambda record: record.gone_at)
