"""What can be chosen at the top of a dashboard."""

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable, TextBoxVariable
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from vv_exporter.settings import RUNBOOK_BASE_URL

Variable = Builder[VariableModel]

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
STATUS_PAGE = "http://127.0.0.1:19461"


def datasource() -> Variable:
    """Which Prometheus, or store of many devices, is asked."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def device() -> Variable:
    """One device."""
    return _query("device", "Device", "label_values(vv_exporter_build_info, device)")


def several(name: str, label: str, metric: str) -> Variable:
    """Some or all values that a label of this name has at the device."""
    query = f'label_values({metric}{{device="$device"}}, {name})'
    return _query(name, label, query).multi(True).include_all(True).all_value(".*").current(_option("All", "$__all"))


def hidden() -> list[Variable]:
    """Addresses that links use. They are not shown; docs/grafana.md says how to have others."""
    return [
        _text("runbooks", RUNBOOK_BASE_URL),
        _text("status_page", STATUS_PAGE),
    ]


def _query(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
    )


def _text(name: str, value: str) -> Variable:
    option = _option(value, value, selected=True)
    shown = TextBoxVariable(name).default_value(value).current(option).options([option])
    return shown.hide(VariableHide.HIDE_VARIABLE)


def _option(text: str, value: str, *, selected: bool = True) -> VariableOption:
    return VariableOption(text=text, value=value, selected=selected)
