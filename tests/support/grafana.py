"""What Grafana does with a dashboard: it fills variables in, and refuses what is not of its schema.

`queries(dashboard)` are all that a dashboard asks; `fill_in` makes PromQL of them as Grafana's Prometheus plugin does.
"""

import enum
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

ROOT = Path(__file__).parents[2] / "grafana"
FILES = sorted((ROOT / "dashboards").glob("*.json"))

Json = dict[str, Any]

OF_THE_PLUGIN = {"target", "titleFormat", "textFormat", "tagKeys"}
"""Keys of an annotation that Grafana's Prometheus plugin reads (`annotations.ts`), and that the schema leaves out."""


def load(file: Path) -> Json:
    """A dashboard."""
    document: Json = json.loads(file.read_text())
    return document


def panels(dashboard: Json, *, rows: bool = False) -> Iterator[Json]:
    """All panels, those in collapsed rows too; the rows themselves if `rows`."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
            continue
        if rows:
            yield panel
        yield from panel["panels"]


@dataclass(frozen=True)
class Query:
    """Something that a dashboard asks Prometheus; `of` is a panel's title, `variable …` or `annotation …`."""

    dashboard: str
    of: str
    ref: str
    expr: str
    instant: bool = False
    interval: float = 0.0
    legend: str = ""

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.of} {self.ref}".strip()


def queries(dashboard: Json) -> Iterator[Query]:
    """Those of panels and annotations."""
    uid = dashboard["uid"]
    for panel in panels(dashboard):
        least = seconds(panel.get("interval", "0s"))
        for target in panel["targets"]:
            legend = target.get("legendFormat", "")
            yield Query(uid, panel["title"], target["refId"], target["expr"], target["instant"], least, legend)
    for annotation in dashboard["annotations"].get("list", []):
        yield Query(uid, f"annotation {annotation['name']}", "", annotation["expr"])


def variables(dashboard: Json) -> dict[str, Json]:
    """The template variables by name."""
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def label_values(variable: Json) -> tuple[str, str]:
    """Metric with its matchers, and label, of a variable that asks for a label's values."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert found, variable
    return found[1], found[2]


def seconds(text: str) -> float:
    """A duration such as 30s or 5m."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def scrape_interval() -> float:
    """What the provisioned data source says of it, in seconds."""
    document = yaml.safe_load((ROOT / "provisioning/datasources/prometheus.yml").read_text())
    (prometheus,) = (source for source in document["datasources"] if source["type"] == "prometheus")
    return seconds(prometheus["jsonData"]["timeInterval"])


def chosen(values: Sequence[str]) -> str:
    """How several chosen values are put into a regular expression: escaped, and in brackets when there are more."""
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}]", r"\\\\\g<0>", value) for value in values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def fill_in(query: Query, values: Mapping[str, str], span: float) -> tuple[str, float]:
    """The PromQL for a panel 1,000 points wide that shows `span` seconds, and its step in seconds.

    https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/: $__rate_interval is the larger
    of $__interval + scrape interval and 4 scrape intervals.
    """
    scrape = scrape_interval()
    step = max(query.interval, scrape, span / 1000)
    built_in = {
        "__rate_interval": f"{max(step + scrape, 4 * scrape):.0f}s",
        "__interval": f"{step:.0f}s",
        "__range": f"{span:.0f}s",
    }
    known = {**values, **built_in}
    return re.sub(r"\$([a-z_]\w*)", lambda match: known[match[1]], query.expr), step


def misfits(dashboard: Json) -> list[str]:
    """What Grafana's schema (the models of its SDK) does not know in a dashboard, or knows with another type."""
    register_default_plugins()
    plain = {**dashboard, "annotations": {"list": [_of_schema(each) for each in dashboard["annotations"]["list"]]}}
    model = Dashboard.from_json(json.loads(json.dumps(plain)))
    again = json.loads(json.dumps(model, cls=JSONEncoder))
    return [*_differences(plain, again, "$"), *_wrong(model, Dashboard, "$")]


def _of_schema(annotation: Json) -> Json:
    return {key: value for key, value in annotation.items() if key not in OF_THE_PLUGIN}


def _differences(had: Any, has: Any, where: str) -> Iterator[str]:
    if isinstance(had, dict) and isinstance(has, dict):
        for key in had.keys() - has.keys():
            yield f"{where}.{key} is unknown"
        for key in had.keys() & has.keys():
            yield from _differences(had[key], has[key], f"{where}.{key}")
    elif isinstance(had, list) and isinstance(has, list) and len(had) == len(has):
        for index, pair in enumerate(zip(had, has, strict=True)):
            yield from _differences(*pair, f"{where}[{index}]")
    elif had != has:
        yield f"{where} was {had!r}, became {has!r}"


def _wrong(value: Any, hint: Any, where: str) -> Iterator[str]:
    """Attributes whose values do not have the types that the SDK's classes declare."""
    if isinstance(value, dict) and isinstance(hint, type) and hasattr(hint, "from_json"):
        # The SDK reads some lists of objects without making objects of them.
        model = hint.from_json(value)
        yield from _differences(value, json.loads(json.dumps(model, cls=JSONEncoder)), where)
        value = model
    if not _fits(value, hint):
        yield f"{where} is {value!r}, not {hint}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _wrong(item, _items(hint), f"{where}[{index}]")
    elif hasattr(value, "to_json"):
        for name, declared in typing.get_type_hints(type(value)).items():
            yield from _wrong(getattr(value, name), declared, f"{where}.{name}")


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, typing.TypeVar):
        return True
    if origin is typing.Union:
        return any(_fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    return isinstance(value, origin or hint)


def _items(hint: Any) -> Any:
    """What a list's items are."""
    for part in (hint, *typing.get_args(hint)):
        if typing.get_origin(part) is list:
            return typing.get_args(part)[0]
    return object
