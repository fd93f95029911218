"""Whether the programs run that must run in containers: from time to time, for each look is a request to the Engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from vv_exporter.containers.engine import NoAnswerError
from vv_exporter.containers.records import ContainerRecord

PROGRAM_CHECK_SECONDS = 10.0  # between looks for a program
MISSING_CHECKS = 2  # so many in a row have to miss it


class ProcessLists(Protocol):
    """What is asked of the Engine; see `actions.Actions`."""

    def runs(self, container: str, program: str) -> bool: ...


class Programs:
    """`required`: the program that must run in a container, by its name."""

    def __init__(self, engine: ProcessLists, required: Mapping[str, str], monotonic: Callable[[], float]) -> None:
        self._engine = engine
        self._required = required
        self._monotonic = monotonic
        self._checks: dict[str, tuple[float, int]] = {}
        """When to look for each container's program again, and how often in a row it was missing."""

    def find_missing(self, record: ContainerRecord) -> str:
        """The program that should run in this container and does not, or "". Raises `EngineError`."""
        program = self._required.get(record.name, "")
        if not program or record.state != "running":
            self.forget(record.name)
            return ""
        due, missed = self._checks.get(record.name, (0.0, 0))
        if self._monotonic() >= due:
            try:
                missed = 0 if self._engine.runs(record.id, program) else missed + 1
            except NoAnswerError:  # not known is not missing, and is no reason not to look at its health
                missed = 0
            self._checks[record.name] = (self._monotonic() + PROGRAM_CHECK_SECONDS, missed)
        return program if missed >= MISSING_CHECKS else ""

    def forget(self, name: str) -> None:
        """Begin anew with this container."""
        self._checks.pop(name, None)

    def keep_only(self, names: Collection[str]) -> None:
        """Forget all other containers."""
        self._checks = {name: check for name, check in self._checks.items() if name in names}
