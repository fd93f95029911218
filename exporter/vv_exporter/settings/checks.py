"""What is wrong though each value by itself can be read: slips of names, and settings that contradict each other.

Each problem is a line that names its key and the cure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from vv_core.common.texts import many
from vv_exporter.common.clock import span
from vv_exporter.common.footage_names import FootageNames
from vv_exporter.common.schedule import longest_pause, problem_of
from vv_exporter.settings.catalogue import variables
from vv_exporter.settings.sections import FootageSettings, JobSettings

LONGEST_FILE_SECONDS = 6 * 3600.0
_PREFIXES = ("CONTAINER_", "DISK_", "DVR_", "HOST_", "MAX_PROCESSING_", "SELF_MONITOR_", "VV_")


def misspelt(environ: Mapping[str, str], in_file: Mapping[str, Any], names: set[str]) -> list[str]:
    """Keys that nobody reads."""
    problems = [
        f"{name}: unknown key in vv.yml below settings:{_suggestion_for(name, names)}"
        for name in in_file
        if name not in names or name == "VV_CONFIG"
    ]
    # The environment also holds what is not ours: only a name that nearly is one of ours is taken for a slip.
    for name in environ:
        if name not in names and name.strip(_NO_PART_OF_A_NAME) in names:
            problems.append(
                f"{name.strip(_NO_PART_OF_A_NAME)}: its name begins or ends with {_odd_characters(name)}; remove that"
            )
        elif name not in names and name.startswith(_PREFIXES):
            suggestion = _suggestion_for(name, names)
            if suggestion:
                problems.append(f"{name}: unknown key{suggestion}")
    return problems


_BYTE_ORDER_MARK = "\ufeff"
_NO_PART_OF_A_NAME = _BYTE_ORDER_MARK + " \t\r\"'"
"""What files that other systems wrote, and quotes around a whole line, leave there."""


def _odd_characters(name: str) -> str:
    is_marked = _BYTE_ORDER_MARK in name
    return "a byte order mark (save its file as UTF-8 without one)" if is_marked else "a blank or a quote"


def _suggestion_for(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def job_problems(job: JobSettings) -> list[str]:
    """What is wrong with a job; each line goes on from the job's key."""
    problems = []
    if not (job.schedule or job.heartbeat_file or job.max_runtime):
        problems.append(': says nothing; give a schedule, e.g. "0 3 * * *", a heartbeat_file or a max_runtime')
    problem = problem_of(job.schedule) if job.schedule else ""
    if problem:
        problems.append(f'.schedule: {problem}; e.g. "0 3 * * *"')
    try:
        ZoneInfo(job.timezone)
    except (KeyError, ValueError, OSError):
        problems.append(f".timezone: {job.timezone!r} is not known; e.g. Europe/Lisbon")
    if job.heartbeat_file and not job.heartbeat_file.startswith("/"):
        problems.append(f".heartbeat_file: {job.heartbeat_file!r} is not an absolute path; begin it with /")
    return problems


def footage_problems(name: str, camera: FootageSettings) -> list[str]:
    """What is wrong with a camera's footage; each line goes on from its key."""
    problems = []
    try:
        ZoneInfo(camera.timezone)
    except (KeyError, ValueError, OSError):
        problems.append(f".timezone: {camera.timezone!r} is not known; e.g. Europe/Lisbon")
    try:
        if camera.files:
            FootageNames(camera.files, name)
    except ValueError as error:
        problems.append(f".files: {error}")
    if not 1 <= camera.length <= LONGEST_FILE_SECONDS:
        problems.append(f".length: {camera.length:g} s is not between 1s and 6h, which a file of footage may be long")
    problem = problem_of(camera.expected) if camera.expected != "always" else ""
    if problem:
        problems.append(f'.expected: {problem}; write always, or the minutes, e.g. "* 8-17 * * 1-5"')
    return problems


def contradictions(values: Mapping[str, Any]) -> list[str]:
    """Settings that do not go together; those that were not read, or could not be, are not in `values`."""
    problems = []
    ports: dict[int, str] = {}
    for attribute, variable in variables().items():
        if attribute.endswith("_port") and attribute in values:
            other = ports.setdefault(values[attribute], variable.name)
            if other != variable.name:
                problems.append(f"{variable.name}: {values[attribute]} is the port of {other} too; choose another")
    warning, critical = values.get("disk_warning_free"), values.get("disk_critical_free")
    if warning and critical:
        for unit in ("ratio", "bytes"):
            least, more = getattr(critical, unit), getattr(warning, unit)
            if least is not None and more is not None and least > more:
                problems.append("DISK_CRITICAL_FREE: is above DISK_WARNING_FREE; make it smaller")
                break
    problems += _window_problems(values)
    problems += _store_problems(values)
    problems += _drill_problems(values)
    problems += _fleet_config_problems(values)
    problems += _exporter_problems(values)
    together = {
        "TELEGRAM_BOT_TOKEN": "TELEGRAM_CHAT_ID",
        "TELEGRAM_CHAT_ID": "TELEGRAM_BOT_TOKEN",
        "ALERT_EMAIL_TO": "SMTP_SMARTHOST",
        "SMTP_SMARTHOST": "ALERT_EMAIL_TO",
    }
    for name, needed in together.items():
        if values.get(name.lower()) and not values.get(needed.lower()):
            problems.append(f"{needed}: is not set, but {name} is; set both or neither")
    if values.get("smtp_smarthost") and not values.get("smtp_from"):
        problems.append("SMTP_FROM: is not set, but SMTP_SMARTHOST is; set the sender's address")
    return problems


def _fleet_config_problems(values: Mapping[str, Any]) -> list[str]:
    """Without a key nothing that is pulled could be believed."""
    url, key = values.get("fleet_config_url"), values.get("fleet_config_key")
    if url and key == "":
        return ["VV_FLEET_CONFIG_KEY: is not set, but VV_FLEET_CONFIG_URL is; set what `vv fleet keygen` printed"]
    if key and url == "":
        return ["VV_FLEET_CONFIG_URL: is not set, but VV_FLEET_CONFIG_KEY is; set both or neither"]
    return []


def _store_problems(values: Mapping[str, Any]) -> list[str]:
    """Who sends to a store, and how."""
    user, password, token = (values.get(f"remote_write_{part}") for part in ("username", "password", "token"))
    problems = []
    if (user or password or token) and "remote_write_url" in values and not values["remote_write_url"]:
        problems.append("VV_REMOTE_WRITE_URL: is not set, but a credential for it is; set the store's address")
    if password is not None and bool(user) != bool(password):
        missing = "PASSWORD" if user else "USERNAME"
        problems.append(f"VV_REMOTE_WRITE_{missing}: is not set, but the other half is; set both or neither")
    if token and (user or password):
        problems.append("VV_REMOTE_WRITE_TOKEN: is set beside user and password; choose one way")
    if values.get("fleet_token") and "fleet_url" in values and not values["fleet_url"]:
        problems.append("VV_FLEET_URL: is not set, but VV_FLEET_TOKEN is; set the centre's address")
    if values.get("fleet_url") and "fleet_token" in values and not values["fleet_token"]:
        problems.append("VV_FLEET_TOKEN: is not set, but VV_FLEET_URL is; the centre has a token for each device")
    return problems


def _drill_problems(values: Mapping[str, Any]) -> list[str]:
    """A proof must be good until the next drill, or DrillOverdue fires although all are taken."""
    schedule, overdue = values.get("drill_at"), values.get("drill_overdue")
    if not schedule or not overdue:
        return []
    pause = longest_pause(schedule)
    if overdue > pause:
        return []
    return [f"VV_DRILL_OVERDUE: VV_DRILL_AT may come only after {span(pause)}; make it longer than that"]


def _exporter_problems(values: Mapping[str, Any]) -> list[str]:
    """How the exporter is asked."""
    user, password = values.get("exporter_username"), values.get("exporter_password")
    if password is not None and bool(user) != bool(password):
        missing = "PASSWORD_FILE" if user else "USERNAME"
        return [f"VV_EXPORTER_{missing}: is not set, but the other half is; set both or neither"]
    if values.get("exporter_ca_file") and not str(values.get("own_url", "")).startswith("https://"):
        return ["VV_EXPORTER_URL: does not begin with https://, but VV_EXPORTER_CA_FILE is set; name both or neither"]
    return []


def _window_problems(values: Mapping[str, Any]) -> list[str]:
    """The self-monitor gives up only if all its restarts fall into one window."""
    first, longest = values.get("restart_backoff"), values.get("restart_backoff_max")
    count, window = values.get("max_restarts"), values.get("restart_window")
    if first is None or longest is None or count is None or window is None:
        return []
    least = sum(back_off(made, first, longest) for made in range(min(count, 10_000)))
    if least < window:
        return []
    return [
        f"SELF_MONITOR_WINDOW: the back-offs of {many(count, 'restart')} add up to {least:.0f} s or more, so that it "
        "would never give up; make it longer"
    ]


def back_off(made: int, first: float, longest: float) -> float:
    """How long the self-monitor waits before the next restart when `made` lie in the window, in seconds."""
    return min(longest, first * 2.0 ** min(made, 64))
