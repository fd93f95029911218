"""A dashboard as a value, and the JSON that Grafana reads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import Dashboard as DashboardBuilder
from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
)

from vv_dashboards import variables
from vv_dashboards.colours import BAD
from vv_dashboards.variables import Variable

TAG = "vv"
COLUMNS = 24


@dataclass(frozen=True)
class Row:
    """Panels under a heading, from left to right, each as wide and high as it says. `collapsed`: until it is opened."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True)
class Board:
    """A dashboard. `answers` says which questions; `variables` come after data source and device.

    One for the public asks the one data source of this uid. It has no variables, links and annotations: nothing that
    would name a device or a camera.
    """

    name: str
    title: str
    answers: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    public_source: str = ""

    @property
    def uid(self) -> str:
        """What links name it by; never changed."""
        return uid(self.name)

    def json(self) -> str:
        """The text of its file."""
        text = json.dumps(self._dashboard(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"
        return text.replace(str(variables.SOURCE.uid), self.public_source) if self.public_source else text

    def _dashboard(self) -> object:
        builder = (
            DashboardBuilder(self.title)
            .uid(self.uid)
            .description(self.answers)
            .tags([TAG])
            .time("now-6h", "now")
            .refresh("30s")
            .timezone("browser")
            .readonly()
            .tooltip(DashboardCursorSync.CROSSHAIR)
        )
        if not self.public_source:
            chosen = [variables.datasource(), variables.device(), *self.variables, *variables.hidden()]
            builder = builder.variables(chosen).links([_others(), _status_page()])
        dashboard = builder.build()
        for variable in dashboard.templating.list_val or ():
            variable.auto = variable.auto_min = variable.auto_count = None  # those of intervals
        dashboard.panels = list(_placed(self.rows))
        dashboard.annotations.list_val = [] if self.public_source else [_FiringAlerts()]
        return dashboard


def uid(name: str) -> str:
    """The uid of the dashboard with this name."""
    return f"vv-{name}"


def _others() -> DashboardLink:
    link = DashboardLink("Dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
    return link.include_vars(True).keep_time(True)


def _status_page() -> DashboardLink:
    link = DashboardLink("Status page").type(DashboardLinkType.LINK).url("${status_page:raw}/").target_blank(True)
    return link.tooltip(
        "The device's own page: what is wrong, what first. From elsewhere: ssh -L 19461:127.0.0.1:19461"
    )


class _FiringAlerts(AnnotationQuery):
    """Regions in which alerts fired. What its Prometheus plugin reads of it is no part of Grafana's schema."""

    def __init__(self) -> None:
        super().__init__(
            name="Alerts",
            datasource=variables.SOURCE,
            icon_color=BAD,
            expr='ALERTS{device="$device",alertstate="firing",severity!="none"}',
        )

    def to_json(self) -> dict[str, object]:
        target = {"refId": "Anno", "expr": self.expr, "interval": "30s"}
        formats = {"titleFormat": "{{alertname}}", "textFormat": "{{severity}} · {{component}}"}
        return {**super().to_json(), "target": target, **formats, "tagKeys": "severity,component"}


def _placed(rows: tuple[Row, ...]) -> Iterator[Panel | RowPanel]:
    """Each row below the one before; a collapsed row takes one line, and holds its panels itself."""
    y = 0
    for row in rows:
        heading = RowPanel(title=row.title, collapsed=row.collapsed, id_val=_id(row.title), panels=[])
        heading.grid_pos = GridPos(h=1, w=COLUMNS, x=0, y=y)
        bottom = _flow(row.panels, y + 1)
        yield heading
        if row.collapsed:
            heading.panels = list(row.panels)
            y += 1
        else:
            yield from row.panels
            y = bottom


def _flow(panels: tuple[Panel, ...], top: int) -> int:
    """Place panels from left to right, in lines; returns where the next line begins."""
    x, y, height = 0, top, 0
    for panel in panels:
        at = panel.grid_pos or GridPos()
        panel.grid_pos = at
        if x + at.w > COLUMNS:
            x, y, height = 0, y + height, 0
        at.x, at.y = x, y
        panel.id_val = _id(panel.title or "")
        x, height = x + at.w, max(height, at.h)
    return y + height


def _id(title: str) -> int:
    """From its title: links to a panel survive that others come and go."""
    return zlib.crc32(title.encode()) % 1_000_000 + 1
