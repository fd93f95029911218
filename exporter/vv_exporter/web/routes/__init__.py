"""The pages. Each module of this folder has a function `build(site)` giving its routes, and is found by being here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from werkzeug import Response

from vv_exporter.context import Context
from vv_exporter.state.scrapes import Scrapes
from vv_exporter.status import Past
from vv_exporter.web.guard import Guarded


@dataclass(frozen=True, slots=True)
class Site:
    """What pages are made from. `checks` are guarded parts of which each must answer for the exporter to be ready;
    `past` knows what is recent, `scrapes` what Prometheus has seen."""

    context: Context
    guarded: Sequence[Guarded]
    checks: Sequence[Guarded]
    past: Past = field(default_factory=Past)
    scrapes: Scrapes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A path (werkzeug's rules, `/job/<name>`) and what answers it.

    `handler` gets the werkzeug `Request`, and the path's variables as keywords. `at_once` bounds how many requests it
    handles at a time; more are answered 503: set it for whatever may wait for a disk, so that it cannot occupy all of
    the server's threads. `own_auth` says that the handler checks credentials itself, instead of basic authentication.
    """

    path: str
    handler: Callable[..., Response]
    methods: tuple[str, ...] = ("GET",)
    at_once: int | None = None
    own_auth: bool = False


def discover(site: Site) -> Iterator[Route]:
    """The routes of every module in this folder whose name does not begin with `_`."""
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            build: Callable[[Site], Iterable[Route]] = importlib.import_module(f"{__name__}.{module.name}").build
            yield from build(site)
