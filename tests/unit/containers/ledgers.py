"""A ledger in memory, and histories recorded from a real Engine (see `record.py`)."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vv_exporter.containers.inspections import fold_inspection, fold_listed
from vv_exporter.containers.ledger import engine_restarted, engine_settled, fold_event, settle
from vv_exporter.containers.observed import SECOND, Event, Inspection, Listed, decode_event, decode_inspection
from vv_exporter.containers.records import Change, Claim, ContainerRecord
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS

FOLDER = Path(__file__).parent / "recorded"
LATER = 4_000_000_000.0


class Ledger:
    """Folds observations and adds up what they count."""

    def __init__(self) -> None:
        self.records: dict[str, ContainerRecord] = {}
        self.counted: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.claims: dict[str, Claim] = {}
        self.cursor = 1

    def event(self, event: Event, inspection: Inspection | None = None) -> None:
        self.apply(fold_event(self.records, event, inspection, event.time / SECOND))
        self.cursor = event.time

    def inspection(self, inspection: Inspection, now: float = 0.0) -> None:
        self.apply(fold_inspection(self.records, inspection, self.cursor, now))

    def listed(self, inspection: Inspection, now: float) -> None:
        """The same container in a list, while its inspection is not answered."""
        code = inspection.exit_code if inspection.state == "exited" else None
        listed = Listed(
            inspection.id, inspection.name, inspection.state, inspection.health, one_off=False, exit_code=code
        )
        self.apply(fold_listed(self.records, listed, now))

    def engine_restarted(self, lost: int | None = None) -> None:
        self.apply(engine_restarted(self.records.values(), lost))

    def engine_settled(self) -> None:
        self.apply(engine_settled(self.records.values()))

    def settle(self, now: float = LATER) -> None:
        change, used = settle(self.records.values(), self.claims, now)
        self.apply(change)
        for key in used:
            del self.claims[key]

    def apply(self, change: Change) -> None:
        for name, record in change.records.items():
            if record is None:
                self.records.pop(name, None)
            else:
                self.records[name] = record
        for count in change.counts:
            self.counted[count.metric.name, count.labels] += count.amount

    def restarts(self, name: str = "web") -> dict[str, int]:
        """By cause; those that were not counted are left out."""
        return {cause: n for (metric, (one, cause)), n in self._pairs() if metric == RESTARTS.name and one == name}

    def exits(self, name: str = "web") -> dict[str, int]:
        """By reason."""
        return {reason: n for (metric, (one, reason)), n in self._pairs() if metric == EXITS.name and one == name}

    def oom_kills(self, name: str = "web") -> int:
        return self.counted[OOM_KILLS.name, (name,)]

    def totals(self) -> dict[Any, int]:
        return {key: n for key, n in self.counted.items() if n}

    def _pairs(self) -> Iterator[tuple[tuple[str, tuple[str, str]], int]]:
        return (((metric, labels), n) for (metric, labels), n in self.counted.items() if len(labels) == 2)  # type: ignore[misc]


Observation = Event | Inspection | str


def recorded(name: str) -> list[Observation]:
    """The history of that name (`28.5/docker_restart`): events, inspections, `lost` and `restarted` of the Engine."""
    raw = json.loads((FOLDER / f"{name}.json").read_bytes())["observations"]
    return [one for one in (_decoded(entry) for entry in raw) if one is not None]


def histories() -> list[str]:
    """Of every version of the Engine."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob("*/*.json"))


def swapped(history: list[Observation]) -> list[Observation]:
    """The same with `die` and `stop` of each `docker stop` in the other order; it signals, then both come at once."""
    changed = list(history)
    told: dict[str, dict[str, int]] = {}  # container → the places of the events of its run
    for place, event in enumerate(history):
        if not isinstance(event, Event):
            continue
        run = told.setdefault(event.id, {})
        if event.action == "start":
            run.clear()
        run[event.action] = place
        if event.action in ("die", "stop") and run.keys() >= {"kill", "die", "stop"}:
            die, stop = run["die"], run["stop"]
            changed[die], changed[stop] = history[stop], history[die]
            run.clear()
    return changed


def _decoded(entry: dict[str, Any]) -> Observation | None:
    ((kind, body),) = entry.items()
    if kind == "event":
        return decode_event(json.dumps(body).encode())
    return decode_inspection(json.dumps(body).encode()) if kind == "inspection" else kind


def paired(history: list[Observation]) -> Iterator[tuple[Observation, Inspection | None]]:
    """Each event with the inspection that was made right after it; the rest alone."""
    index = 0
    while index < len(history):
        one = history[index]
        after = history[index + 1] if index + 1 < len(history) else None
        if isinstance(one, Event) and isinstance(after, Inspection) and after.id == one.id and _is_inspected(one):
            yield one, after
            index += 1
        else:
            yield one, None
        index += 1


def _is_inspected(event: Event) -> bool:
    return event.action in ("start", "die", "health_status")


def replay(history: list[Observation], *, once: bool = False, overtaking: bool = False, listed: bool = False) -> Ledger:
    """Fold a history as the worker does.

    With `once`, a container is inspected at its first start only, and later events have to be enough. With
    `overtaking`, each inspection is folded before the event that it followed, too, as by a reconcile in between.
    With `listed`, the Engine answers only that first inspection, and what each later one shows is in its list alone.
    """
    ledger = Ledger()
    lost = 0
    for one, inspection in paired(history):
        if isinstance(one, Event):
            if overtaking and inspection is not None:
                ledger.inspection(inspection, one.time / SECOND)
            known = any(record.id == one.id for record in ledger.records.values())
            ledger.event(one, None if (once or listed) and known else inspection)
            if known and inspection is not None and listed:
                ledger.listed(inspection, one.time / SECOND)
        elif isinstance(one, Inspection):
            ledger.inspection(one)
        elif one == "lost":
            lost = ledger.cursor
        else:
            ledger.engine_restarted(lost)
    ledger.engine_settled()
    ledger.settle()
    return ledger


def event(action: str, at: float, container: str = "1", name: str = "web", **attributes: str) -> Event:
    return Event(container, name, action, int(at * SECOND), attributes)


def inspection(**changes: Any) -> Inspection:
    """A container that was started at 100 and runs."""
    times = {key: int(changes.pop(key) * SECOND) for key in ("created", "started", "finished") if key in changes}
    return _RUNNING._replace(**times, **changes)


_RUNNING = Inspection(
    id="1",
    name="web",
    image="web:1",
    project="",
    service="",
    one_off=False,
    policy="always",
    max_retries=0,
    auto_remove=False,
    state="running",
    health="",
    streak=0,
    exit_code=0,
    oom_killed=False,
    error="",
    restart_count=0,
    created=99 * SECOND,
    started=100 * SECOND,
    finished=0,
)
