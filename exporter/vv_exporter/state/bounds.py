"""What gives way where a family of series, or a kind of documents, has more than it may have: the longest untouched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vv_exporter.metrics import Labels, Metric, all_metrics
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.state.transaction import Kind, Transaction

if TYPE_CHECKING:
    from vv_exporter.state.store import Store


class Bounds:
    """Keeps a store within them. `reserved` are values by the name of their label that never give way."""

    def __init__(self, store: Store, reserved: Mapping[str, frozenset[str]]) -> None:
        self._store = store
        self._reserved = reserved

    def make_room(self, changes: Transaction) -> None:
        """Let the longest untouched give way where a family or a kind has more than it may have."""
        families, kinds = Counter[str](), Counter[str]()
        for (name, labels), series in changes.series.items():
            families[name] += (series is not None) - (labels in self._store.families[name])
        for (name, key), document in changes.documents.items():
            kinds[name] += (document is not None) - (key in self._store.known_keys(name))
        for name, growth in families.items():
            metric = all_metrics()[name]
            over = len(self._store.families[name]) + growth - metric.limit
            if growth > 0 and over > 0:
                self._evict_series(changes, metric, over)
        for name, growth in kinds.items():
            kind = changes.kinds.get(name)
            if growth > 0 and kind is not None and kind.limit:
                self._evict_documents(changes, kind, self._store.count(kind) + growth - kind.limit)

    def _evict_series(self, changes: Transaction, metric: Metric, over: int) -> None:
        family = self._store.families[metric.name]
        touched = [labels for (name, labels), one in changes.series.items() if name == metric.name and one is not None]
        untouched = (labels for labels in family if (metric.name, labels) not in changes.series)
        subjects: dict[Labels, list[Labels]] = {}
        for labels in (*untouched, *touched):
            subject = metric.subject(labels)
            subjects[subject] = [*subjects.pop(subject, ()), labels]  # its last touch counts
        gone = 0
        for members in subjects.values():
            if gone >= over:
                break
            if any(self._is_reserved(metric, labels) for labels in members):
                continue
            for labels in members:
                _forget(changes.series, (metric.name, labels), stored=labels in family)
            gone += len(members)
        if gone:
            changes.inc(SERIES_LIMITED, (metric.name,), gone)

    def _is_reserved(self, metric: Metric, labels: Labels) -> bool:
        reserved = self._reserved
        return any(value in reserved.get(name, ()) for name, value in zip(metric.labels, labels, strict=True))

    def _evict_documents(self, changes: Transaction, kind: Kind[Any], over: int) -> None:
        known = self._store.documents(kind)
        touched = {key: one for (name, key), one in changes.documents.items() if name == kind.name and one is not None}
        untouched = {key: one for key, one in known.items() if (kind.name, key) not in changes.documents}
        reserved = frozenset[str]().union(*self._reserved.values())
        order = sorted(
            {**untouched, **touched}.items(),
            key=lambda item: (
                kind.subject is not None and kind.subject(item[1]) in reserved,
                kind.importance(item[1]),
            ),
        )
        for key, _ in order[: max(over, 0)]:
            _forget(changes.documents, (kind.name, key), stored=key in known)
        if over > 0 and kind.family is not None:
            changes.inc(SERIES_LIMITED, (kind.family.name,), over)


def _forget(changes: dict[Any, Any], key: Any, *, stored: bool) -> None:
    """Let a change be a deletion, or, of what is not stored, none."""
    if stored:
        changes[key] = None
    else:
        changes.pop(key, None)
