"""`GET /metrics`: all series, in the text format 0.0.4 or in OpenMetrics 1.0, whichever the client prefers.

`GET /metrics/events`: of these only what people must know within seconds, and what in health is nothing. Prometheus
asks for it every two seconds; it says nothing of the alert path, which the other one proves.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder, generate_latest, gzip_accepted
from prometheus_client.registry import Collector
from werkzeug import Request, Response

from vv_exporter.common.families import ShapedFamily
from vv_exporter.state.scrapes import with_held
from vv_exporter.web.guard import DEADLINE, collect_families, gather
from vv_exporter.web.routes import Route, Site

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
"""How long Prometheus waits for the answer; it sends this with every scrape, and nobody else does."""
EVENT_COLLECTORS = frozenset({"containers_down", "recent_failures"})
"""Those that are cheap, and show what must be known at once."""
_MARGIN = 0.5
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_METRICS = "application/openmetrics-text"
_OTHER_NAMES = ("escaping=dots", "escaping=values")  # schemes that change also such names as ours
_END = "# EOF\n"


class Gathered(Collector):
    """Families that are known already, as prometheus_client's encoders want them."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        """The families."""
        return self._families


def deadline(timeout: str | None) -> float:
    """Seconds for the collectors when the client waits `timeout`: enough is left to send what the others have."""
    try:
        seconds = float(timeout or "inf")
    except ValueError:
        return DEADLINE
    return min(DEADLINE, max(0.1, seconds - _MARGIN)) if not math.isnan(seconds) else DEADLINE


def encode(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    """The exposition and its content type."""
    try:
        encoder, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # the client asks for a version that is no number
        encoder, content_type = generate_latest, _TEXT
    if not content_type.startswith(_OPEN_METRICS) or content_type.endswith(_OTHER_NAMES):
        return encoder(Gathered(families)), content_type
    parts = [_open_metrics(family, encoder) for family in families]
    return "".join((*parts, _END)).encode(), content_type


def _open_metrics(family: Family, encoder: Callable[[Collector], bytes]) -> str:
    if isinstance(family, ShapedFamily):
        return family.open_metrics()
    return encoder(Gathered([family])).decode().removesuffix(_END)


def build(site: Site) -> Iterable[Route]:
    """The scrapes."""

    def metrics(request: Request) -> Response:
        timeout = request.headers.get(TIMEOUT_HEADER)
        before = None
        if timeout:  # it is Prometheus that asks
            site.context.beats.scraped()
            if site.scrapes is not None:
                site.scrapes.wait_for_the_journal(deadline(timeout))
                before = site.scrapes.held(request.headers.get("User-Agent", ""))
        families = gather(site.guarded, deadline(timeout))
        if before is not None:
            families = with_held(families, site.context.store, before)
        return _exposition(request, families)

    cheap = [one for one in site.guarded if one.name in EVENT_COLLECTORS]

    def events(request: Request) -> Response:
        return _exposition(request, collect_families(cheap, deadline(request.headers.get(TIMEOUT_HEADER)))[0])

    yield Route("/metrics", metrics)
    yield Route("/metrics/events", events)


def _exposition(request: Request, families: Sequence[Family]) -> Response:
    body, content_type = encode(families, request.headers.get("Accept", ""))
    response = Response(body, content_type=content_type)
    response.vary.add("Accept")
    response.vary.add("Accept-Encoding")
    if gzip_accepted(request.headers.get("Accept-Encoding", "")):
        response.set_data(gzip.compress(body, compresslevel=3))
        response.content_encoding = "gzip"
    return response
