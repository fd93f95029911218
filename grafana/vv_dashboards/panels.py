"""Kinds of panels, so that a dashboard says only what differs: what is asked, in which unit, and what it means.

`meaning` is for whoever looks at it at night: what it tells, and what to do when it looks wrong. `alerts` names the
alerts that judge what the panel shows: each becomes a link to its runbook, and each alert has one such panel.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Protocol, Self

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import statetimeline, timeseries
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders.dashboard import DashboardLink, FieldColor, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery as AnyQuery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DashboardLink as Link
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.dashboard import ThresholdsConfig as ThresholdsConfigModel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from vv_dashboards import colours
from vv_dashboards.colours import Steps
from vv_dashboards.variables import SOURCE

Words = Mapping[int, tuple[str, str]]
"""What a value is called, and its colour."""

YES_NO: Words = {1: ("yes", colours.BAD), 0: ("no", colours.GOOD)}
UP_DOWN: Words = {1: ("up", colours.GOOD), 0: ("DOWN", colours.BAD)}

RUNBOOK = "Runbook: "
"""How the title of a link to an alert's runbook begins."""


@dataclass(frozen=True)
class Query:
    """PromQL, and what a series of it is called. `limit`: a threshold, drawn dashed."""

    expr: str
    legend: str
    limit: bool = False


def limit(expr: str, legend: str) -> Query:
    """The threshold that an alert compares with."""
    return Query(expr, legend, limit=True)


class _Kind(Protocol):
    """What all builders of panels have."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def targets(self, targets: list[Builder[AnyQuery]]) -> Self: ...
    def links(self, links: list[Builder[Link]]) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def thresholds(self, thresholds: Builder[ThresholdsConfigModel]) -> Self: ...
    def mappings(self, mappings: list[ValueMapping]) -> Self: ...
    def build(self) -> Panel: ...


def lines(
    title: str,
    meaning: str,
    *queries: Query,
    unit: str,
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (12, 8),
    most: float | None = None,
    interval: str = "",
    coloured: Mapping[str, str] | None = None,
) -> Panel:
    """Values over time. `most`: the axis' upper end; `interval`: points are not closer than this; `coloured` by a
    pattern of the legend."""
    panel = _lines(interval).line_width(2).fill_opacity(8).span_nulls(False).show_points(common.VisibilityMode.AUTO)
    if most is not None:
        panel = panel.max(most)
    for pattern, colour in (coloured or {}).items():
        panel = panel.override_by_regexp(f"/{pattern}/", [_colour(colour)])
    for ref, query in zip(string.ascii_uppercase, queries, strict=False):
        if query.limit:
            panel = panel.override_by_query(ref, _dashed())
    return _finish(panel, title, meaning, _targets(queries), unit, alerts, size)


def events(
    title: str,
    meaning: str,
    *queries: Query,
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (12, 8),
    coloured: Mapping[str, str] | None = None,
) -> Panel:
    """How many events there were, as stacked bars, each of a minute or more; `coloured` by a pattern of the legend."""
    panel = (
        _lines("1m")
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .stacking(build.StackingConfig().mode(common.StackingMode.NORMAL))
        .decimals(0)
    )
    for pattern, colour in (coloured or {}).items():
        panel = panel.override_by_regexp(f"/{pattern}/", [_colour(colour)])
    return _finish(panel, title, meaning, _targets(queries), "short", alerts, size)


def states(
    title: str,
    meaning: str,
    *queries: Query,
    words: Words,
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (12, 8),
) -> Panel:
    """Which state things were in, over time."""
    panel = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .row_height(0.8)
        .fill_opacity(85)
        .mappings(_mappings(words))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .tooltip(build.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
        .legend(_legend())
    )
    return _finish(panel, title, meaning, _targets(queries), "none", alerts, size)


def stat(
    title: str,
    meaning: str,
    expr: str,
    *,
    unit: str = "short",
    steps: Steps = (),
    words: Words | None = None,
    none: str = "none",
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (4, 4),
) -> Panel:
    """One number, as it is now; `none` is what is written where there is no value."""
    panel = (
        stats.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(_steps(steps or colours.plain()))
        .no_value(none)
    )
    if words:
        panel = panel.mappings(_mappings(words))
    if unit == "short":
        panel = panel.decimals(0)  # `increase` extrapolates
    targets: list[Builder[AnyQuery]] = [_query("A", expr).instant()]
    return _finish(panel, title, meaning, targets, unit, alerts, size)


def cells(
    title: str,
    meaning: str,
    expr: str,
    legend: str,
    *,
    words: Words,
    link: tuple[str, str],
    size: tuple[int, int] = (24, 12),
) -> Panel:
    """A cell for each series, in the order of the answer, coloured as `words` say; `link` is (title, address)."""
    panel = (
        stats.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
        .text_mode(common.BigValueTextMode.NAME)
        .reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .thresholds(_steps(colours.plain()))
        .mappings(_mappings(words))
        .no_value("none")
        .data_links([DashboardLink(link[0]).type(DashboardLinkType.LINK).url(link[1])])
    )
    targets: list[Builder[AnyQuery]] = [_query("A", expr).instant().legend_format(legend)]
    return _finish(panel, title, meaning, targets, "none", (), size)


@dataclass(frozen=True)
class Column:
    """A column of a table: one value for each row's labels. `first`: stands before these."""

    title: str
    expr: str
    unit: str = "short"
    steps: Steps = ()
    words: Words | None = None
    decimals: int | None = None
    width: int | None = None
    first: bool = False


def table(
    title: str,
    meaning: str,
    labels: Mapping[str, str],
    *columns: Column,
    sort: str,
    descending: bool = True,
    links: Mapping[str, tuple[str, str]] | None = None,
    alerts: Sequence[str] = (),
    size: tuple[int, int] = (24, 8),
) -> Panel:
    """What is known now of each thing. `labels` are the columns that identify a row, with their headings; `links` are
    (title, address) by heading."""
    refs = dict(zip(string.ascii_uppercase, columns, strict=False))
    panel = (
        tables.Panel()
        .filterable(True)
        .cell_height(common.TableCellHeight.SM)
        .sort_by([build.TableSortByFieldState().display_name(sort).desc(descending)])
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(_organize(labels, refs))
    )
    for column in columns:
        panel = panel.override_by_name(column.title, _cell(column))
    for heading, (name, address) in (links or {}).items():
        panel = panel.override_by_name(heading, [_property("links", [{"title": name, "url": address}])])
    targets: list[Builder[AnyQuery]] = [
        _query(ref, column.expr).instant().format(PromQueryFormat.TABLE) for ref, column in refs.items()
    ]
    return _finish(panel, title, meaning, targets, "short", alerts, size)


def _finish(
    panel: _Kind,
    title: str,
    meaning: str,
    targets: list[Builder[AnyQuery]],
    unit: str,
    alerts: Sequence[str],
    size: tuple[int, int],
) -> Panel:
    built = (
        panel.title(title)
        .description(cleandoc(meaning).replace("\n", " "))
        .datasource(SOURCE)
        .unit(unit)
        .targets(targets)
        .links([_runbook(alert) for alert in alerts])
        .build()
    )
    built.grid_pos = GridPos(w=size[0], h=size[1], x=0, y=0)
    return built


def _lines(interval: str) -> timeseries.Panel:
    panel = timeseries.Panel().legend(_legend()).tooltip(_tooltip()).axis_soft_min(0)
    panel = panel.color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    return panel.interval(interval) if interval else panel


def _legend() -> build.VizLegendOptions:
    legend = build.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST)
    return legend.placement(common.LegendPlacement.BOTTOM).calcs([])


def _tooltip() -> build.VizTooltipOptions:
    return build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


def _targets(queries: Iterable[Query]) -> list[Builder[AnyQuery]]:
    return [
        _query(ref, query.expr).legend_format(query.legend).range()
        for ref, query in zip(string.ascii_uppercase, queries, strict=False)
    ]


def _query(ref: str, expr: str) -> Dataquery:
    return Dataquery().ref_id(ref).datasource(SOURCE).expr(cleandoc(expr))


def _runbook(alert: str) -> Builder[Link]:
    link = DashboardLink(f"{RUNBOOK}{alert}").type(DashboardLinkType.LINK).target_blank(True)
    return link.url(f"${{runbooks:raw}}/{alert}.md")


def _steps(steps: Sequence[Threshold]) -> ThresholdsConfig:
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(list(steps))


def _mappings(words: Words) -> list[ValueMapping]:
    options = {
        str(value): ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [ValueMap(options=options)]


def _organize(labels: Mapping[str, str], refs: Mapping[str, Column]) -> DataTransformerConfig:
    """Headings and the order of columns; a lone query's value has no letter in its name."""
    values = {f"Value #{ref}": column for ref, column in refs.items()}
    if len(refs) == 1:
        values["Value"] = refs["A"]
    first = {name: column.title for name, column in values.items() if column.first}
    names = {**first, **labels, **{name: column.title for name, column in values.items()}}
    order = {name: index for index, name in enumerate(names)}
    hidden = {"Time": True}
    return DataTransformerConfig(
        id_val="organize", options={"excludeByName": hidden, "indexByName": order, "renameByName": names}
    )


def _cell(column: Column) -> list[DynamicConfigValue]:
    found = [_property("unit", column.unit)]
    if column.decimals is not None:
        found.append(_property("decimals", column.decimals))
    if column.width is not None:
        found.append(_property("custom.width", column.width))
    if column.words:
        found.append(_property("mappings", _mappings(column.words)))
    if column.steps:
        found.append(_property("thresholds", _steps(column.steps).build()))
    if column.words or column.steps:
        found.append(_property("color", {"mode": FieldColorModeId.THRESHOLDS}))
        found.append(_property("custom.cellOptions", common.TableColorTextCellOptions()))
    return found


def _dashed() -> list[DynamicConfigValue]:
    return [
        _property("custom.lineStyle", {"fill": "dash", "dash": [10, 8]}),
        _property("custom.fillOpacity", 0),
        _property("custom.lineWidth", 2),
        _property("custom.stacking", {"mode": "none"}),
        _colour(colours.BAD),
    ]


def _colour(colour: str) -> DynamicConfigValue:
    return _property("color", {"mode": FieldColorModeId.FIXED, "fixedColor": colour})


def _property(name: str, value: object) -> DynamicConfigValue:
    return DynamicConfigValue(id_val=name, value=value)
