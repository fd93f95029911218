"""`GET /`: the status page. `GET /api/v1/status`: the same as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from werkzeug import Request, Response

from vv_exporter.language import gettext as _
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.timeline import shortened
from vv_exporter.status import FiringAlert, Status, own_troubles, sections
from vv_exporter.web.pages import anchor, page
from vv_exporter.web.report import Report
from vv_exporter.web.routes import Route, Site

REFRESH = 10  # seconds
PATIENCE = 0.3  # seconds that the page waits for Alertmanager; it comes again soon
API_PATIENCE = 8.0  # …and a program, which may not
# So that the page stays small whatever the device has; what is wrong stands first, and `vv status` has all.
MAX_ALERTS = 20
OPEN_ALERTS = 3
MAX_TROUBLES = 12
MAX_ROWS = 60
MAX_TEXT = 550  # characters of an alert's texts


def build(site: Site) -> Iterable[Route]:
    """Both."""
    report = Report(site)

    def show(request: Request) -> Response:
        return page(request, "status.html", here="status", refresh=REFRESH, **_page_values(report.status(PATIENCE)))

    def answer_status(_: Request) -> Response:
        return Response(msgspec.json.encode(report.status(API_PATIENCE)), content_type="application/json")

    yield Route("/", show, at_once=2)
    yield Route("/api/v1/status", answer_status, at_once=2)


def _page_values(found: Status) -> dict[str, Any]:
    alerts = found.alerts or ()
    troubles = own_troubles(found)
    return {
        "device": found.device,
        "found": found,
        "counts": [
            (name, _count_severity(alerts, name)) for name in reversed(SEVERITIES) if _count_severity(alerts, name)
        ],
        "alerts": [_shown_alert(alert) for alert in alerts[:MAX_ALERTS]],
        "open_alerts": OPEN_ALERTS,
        "more_alerts": max(len(alerts) - MAX_ALERTS, 0),
        "troubles": troubles[:MAX_TROUBLES],
        "more_troubles": max(len(troubles) - MAX_TROUBLES, 0),
        "broken_path": _(found.alert_path.hop) if found.alert_path else "",
        "nothing_yet": not (found.containers or found.stages or found.jobs),
        "tables": [table.cut(MAX_ROWS) for table in sections(found)],
    }


def _count_severity(alerts: Iterable[FiringAlert], severity: str) -> int:
    return sum(alert.severity == severity for alert in alerts)


def _shown_alert(alert: FiringAlert) -> dict[str, Any]:
    """The alert with texts that fit, and an id that stays its own while it fires."""
    texts = msgspec.structs.asdict(alert)
    for name in ("summary", "description", "suggested_actions", "error", "video"):
        texts[name] = shortened(texts[name], MAX_TEXT)
    identity = (alert.name, alert.since, alert.summary, sorted(alert.subject.items()))
    return texts | {"started": alert.started, "id": anchor(*identity)}
