"""Documents of which a receiver may refuse one for what it says: the others get there all the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from vv_exporter.alertmanager.client import DeliveryError, RejectedError

T = TypeVar("T")
BATCH = 64  # documents a request


class Outcome(NamedTuple):
    """The items that were taken, those that never will be with the reason, and why the others wait, if some do.

    `requests` is how many were answered well.
    """

    taken: list[int]
    rejected: dict[int, str]
    error: DeliveryError | None = None
    requests: int = 0


def send_divided(
    items: Sequence[T], present: Callable[[T], dict[str, Any]], send: Callable[[list[dict[str, Any]]], None]
) -> Outcome:
    """Send what `present` makes of the items; the outcome names them by their place.

    A request that is refused for what it holds is sent in halves, until the item that is meant goes alone: one among
    `BATCH` costs twelve requests more. What cannot be presented is refused as well.
    """
    taken: list[int] = []
    rejected: dict[int, str] = {}
    documents: dict[int, dict[str, Any]] = {}
    for place, item in enumerate(items):
        try:
            documents[place] = present(item)
        except Exception as error:  # whatever it says: it must not hold up the others
            rejected[place] = f"it cannot be written: {type(error).__name__}"
    places = list(documents)
    waiting = [places[start : start + BATCH] for start in reversed(range(0, len(places), BATCH))]
    requests = 0
    while waiting:
        batch = waiting.pop()
        try:
            send([documents[place] for place in batch])
        except RejectedError as error:
            if len(batch) == 1:
                rejected[batch[0]] = str(error)
            else:
                waiting += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
        except DeliveryError as error:
            return Outcome(taken, rejected, error, requests)
        else:
            taken += batch
            requests += 1
    return Outcome(taken, rejected, None, requests)
