"""Alertmanager's configuration and templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vv_exporter import channels
from vv_exporter.render import base
from vv_exporter.render.intervals import delivery_interval
from vv_exporter.render.templates import WORDS, translated
from vv_exporter.settings import Settings
from vv_exporter.settings.exporter_access import trusting_exporter

LINKS = "links.tmpl"
_COMMITTED = re.compile(r"http://127\.0\.0\.1:19461/(silence\?filter=)?")
ALERT_PATH_RECEIVER = "alert-path"
QUIET_HOURS = "quiet-hours"


def config(source: Path, settings: Settings, out: Path) -> str:
    """The text of alertmanager.yml, for a folder `out` (absolute)."""
    return base.dump(document(base.load(source / "alertmanager" / "alertmanager.yml"), settings, out))


def document(committed: dict[str, Any], settings: Settings, out: Path) -> dict[str, Any]:
    """The committed alertmanager.yml with the configured channels only, and absolute paths.

    A receiver that loses its last entry goes, and so do its routes; one that is committed empty stays.
    """
    configured = with_configured_channels(committed, settings, out)
    return configured | {
        "event_recorder": _event_recorder(committed["event_recorder"], settings, out),
        "route": _pace_watchdog(configured["route"], settings),
        "time_intervals": [_interval_times(interval, settings) for interval in committed["time_intervals"]],
    }


def with_configured_channels(committed: dict[str, Any], settings: Settings, out: Path) -> dict[str, Any]:
    """An alertmanager.yml without the receivers and routes of channels that are not configured, and absolute paths."""
    receivers = [_render_receiver(receiver, settings, out) for receiver in committed["receivers"]]
    emptied = {
        after["name"]
        for before, after in zip(committed["receivers"], receivers, strict=True)
        if len(before) > 1 and len(after) == 1
    }
    return committed | {
        "templates": [str(out / pattern) for pattern in committed["templates"]],
        "route": _without_receivers(committed["route"], emptied),
        "receivers": [receiver for receiver in receivers if receiver["name"] not in emptied],
    }


def _interval_times(interval: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """An interval as it runs. Alertmanager's times do not go past midnight."""
    quiet = settings.quiet_hours
    if interval["name"] != QUIET_HOURS or quiet is None:
        return interval
    times = [(quiet.start, quiet.end)] if quiet.start < quiet.end else [(quiet.start, "24:00"), ("00:00", quiet.end)]
    spans = [{"start_time": start, "end_time": end} for start, end in times if start != end]
    return interval | {"time_intervals": [{"times": spans, "location": settings.quiet_hours_timezone}]}


def _event_recorder(committed: dict[str, Any], settings: Settings, out: Path) -> dict[str, Any]:
    """Its events go to the exporter, as the log does."""
    url = f"{settings.exporter_url}/api/v1/alertmanager/events"
    outputs = [
        _absolute_secrets(
            output | {"url": url, "http_config": output["http_config"] | trusting_exporter(settings)}, out
        )
        for output in committed["webhook_outputs"]
    ]
    return committed | {"webhook_outputs": outputs}


def templates(source: Path, settings: Settings) -> dict[str, str]:
    """The template files by name: links are this device's, words those of the current language."""
    found = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((source / "alertmanager" / "templates").glob("*.tmpl"))
    }
    addresses = {"": f"{settings.public_url}/", "silence?filter=": settings.silence_form}
    links = _COMMITTED.sub(lambda address: addresses[address[1] or ""], found[LINKS])
    return found | {LINKS: links, WORDS: translated(found[WORDS])}


def _render_receiver(receiver: dict[str, Any], settings: Settings, out: Path) -> dict[str, Any]:
    kept: dict[str, Any] = {"name": receiver["name"]}
    for kind, entries in receiver.items():
        if kind == "name":
            continue
        entries = [adapted for entry in entries for adapted in _render_entry(entry, settings, out)]
        if entries:
            kept[kind] = entries
    return kept


def _render_entry(entry: dict[str, Any], settings: Settings, out: Path) -> Iterator[dict[str, Any]]:
    """The entry as it runs, or nothing if its channel is not configured."""
    channel = channels.owner(secret_files(entry))
    if channel.is_configured(settings):
        adapted: dict[str, Any] = _absolute_secrets(channel.adapt(entry, settings), out)
        yield adapted


def secret_files(entry: Any) -> Iterator[str]:
    """The names of the files below secrets/ that an entry refers to."""
    if isinstance(entry, dict):
        for value in entry.values():
            yield from secret_files(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from secret_files(value)
    elif isinstance(entry, str) and entry.startswith("secrets/"):
        yield entry.removeprefix("secrets/")


def _absolute_secrets(value: Any, out: Path) -> Any:
    if isinstance(value, dict):
        return {key: _absolute_secrets(item, out) for key, item in value.items()}
    if isinstance(value, str) and value.startswith("secrets/"):
        return str(out / value)
    return value


def _pace_watchdog(route: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The route with the Watchdog brought back to the exporter as often as `VV_ALERT_PATH_AFTER` needs."""
    if route.get("receiver") == ALERT_PATH_RECEIVER:
        interval = delivery_interval(settings.alert_path_after)
        # Shorter than group_interval, or every other beat would be skipped.
        route = route | {"group_interval": _duration_text(interval), "repeat_interval": _duration_text(interval / 2)}
    if "routes" in route:
        route = route | {"routes": [_pace_watchdog(child, settings) for child in route["routes"]]}
    return route


def _duration_text(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds.is_integer() else f"{seconds * 1000:.0f}ms"


def _without_receivers(route: dict[str, Any], receivers: set[str]) -> dict[str, Any]:
    if "routes" not in route:
        return route
    kept = [_without_receivers(child, receivers) for child in route["routes"] if child.get("receiver") not in receivers]
    return {key: value for key, value in route.items() if key != "routes"} | ({"routes": kept} if kept else {})
