"""Alertmanager's routes: which of them an alert takes, and their timing, made fast for tests."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TIMES = ("group_wait", "group_interval", "repeat_interval")
INHERITED = (*TIMES, "receiver", "group_by")


def hasten(config: Path, *, group_wait: str = "1s", group_interval: str = "1s", repeat_interval: str = "1h") -> None:
    """Give every route of a rendered alertmanager.yml these times. The Watchdog beats with each interval."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    for route in routes(document["route"]):
        beats = route.get("receiver") in ("nobody", "deadman", "alert-path")
        route |= {
            "group_wait": group_wait,
            "group_interval": group_interval,
            "repeat_interval": "500ms" if beats else repeat_interval,
        }
    config.write_text(yaml.safe_dump(document, sort_keys=False, width=1000), encoding="utf-8")


def scale(config: Path, factor: float) -> None:
    """Make all times of a rendered alertmanager.yml shorter by this factor."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    scaled: set[int] = set()
    for route in routes(document["route"]):
        if id(route) not in scaled:  # one that stands in several places
            scaled.add(id(route))
            route |= {name: f"{seconds(route[name]) / factor * 1000:.0f}ms" for name in TIMES if name in route}
    config.write_text(yaml.safe_dump(document, sort_keys=False, width=1000), encoding="utf-8")


def taken(route: dict[str, Any], labels: dict[str, str]) -> list[dict[str, Any]]:
    """The routes that an alert with these labels takes below one that it takes, each with what it inherits. As of
    https://prometheus.io/docs/alerting/latest/configuration/#route"""
    found: list[dict[str, Any]] = []
    for child in route.get("routes", []):
        if all(_matches(matcher, labels) for matcher in child.get("matchers", [])):
            inherited = {name: value for name, value in route.items() if name in INHERITED}
            found += taken(inherited | child, labels)
            if not child.get("continue"):
                break
    return found or [route]


def _matches(matcher: str, labels: dict[str, str]) -> bool:
    name, operator, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
    given = labels.get(name, "")
    equal = bool(re.fullmatch(value, given)) if "~" in operator else given == value
    return equal != operator.startswith("!")


def seconds(duration: str) -> float:
    """A duration of one unit."""
    number = duration.rstrip("smhd")
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[duration.removeprefix(number)]


def routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The route and all below it."""
    yield route
    for child in route.get("routes", []):
        yield from routes(child)
