"""What turns the store or a probe into series.

Each module of this folder holds one collector and a function `build(context)` that makes it; a module that lies here
is registered. What it reads of services stands in `services.Services`, which is the context, too: a collector starts
nothing. `web/guard.py` (in the package above) runs them, each with a deadline.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client.core import Metric as Family

from vv_exporter.services import Services


class Collector(Protocol):
    """One family of series. `collect` may be slow or raise: it then costs this collector's own series only."""

    @property
    def name(self) -> str:
        """Value of the label `collector`."""
        ...

    def collect(self) -> Iterable[Family]:
        """The families as they are now."""
        ...


def discover() -> Iterator[Callable[[Services], Collector]]:
    """The `build` function of every module in this folder whose name does not begin with `_`."""
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        build: Callable[[Services], Collector] = importlib.import_module(f"{__name__}.{module.name}").build
        yield build
