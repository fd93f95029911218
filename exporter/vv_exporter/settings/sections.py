"""The sections of `vv.yml`: what does not fit a variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from vv_exporter.settings.values import Duration


class StageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stage in `vv.yml`: how long a run may take before it is overdue.

    That is `limit`, and besides `limit_per_minute` for each minute of video and `limit_per_gb` for each 10^9 bytes.
    """

    limit: Duration | None = None
    limit_per_gb: Duration | None = None
    limit_per_minute: Duration | None = None


class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job in `vv.yml`. It is missed when it has not succeeded `grace` after a time of its `schedule`.

    `heartbeat_file` is touched by the job when it has succeeded; a run takes too long after `max_runtime`.
    """

    schedule: str = ""
    timezone: str = "UTC"
    grace: Duration = Duration(300)
    max_runtime: Duration | None = None
    heartbeat_file: str = ""


class DvrSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DVR in `vv.yml`. It is probed every `interval`; a probe may take `timeout`."""

    url: str
    username: str = ""
    password_file: str = ""
    interval: Duration = Duration(30)
    timeout: Duration = Duration(10)


class FootageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A camera in `vv.yml` whose footage is watched by its files: `common.footage_names` says what `files` may hold.

    A file is `length` long. `expected` is `always`, or a cron expression of the minutes in which there should be
    footage. Names of files and that expression are read in `timezone`. `essential`: FootageMissing is critical. Files
    are to reach back for `retention`, and recordings to be signed `signed_within` that time (else what holds for all
    cameras); `dvr_keeps` is how long the DVR has recordings of its own.
    """

    files: str = ""
    length: Duration = Duration(60)
    expected: str = "always"
    timezone: str = "UTC"
    essential: bool = False
    retention: Duration | None = None
    signed_within: Duration | None = None
    dvr_keeps: Duration | None = None


class ContainersSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Container names: critical when down, expected to run, not looked at."""

    essential: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


class SelfMonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the self-monitor may restart: containers by name, or by compose project.

    `processes` names, by container, a program that must run in it (`agent`, or what an interpreter runs: `agent.py`).
    """

    containers: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    processes: Mapping[str, str] = msgspec.field(default_factory=dict)


class ConfigFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sections of `vv.yml`."""

    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    stages: dict[str, Any] = msgspec.field(default_factory=dict)
    jobs: dict[str, Any] = msgspec.field(default_factory=dict)
    containers: Any = msgspec.field(default_factory=dict)
    self_monitor: Any = msgspec.field(default_factory=dict)
    dvrs: dict[str, Any] = msgspec.field(default_factory=dict)
    footage: dict[str, Any] = msgspec.field(default_factory=dict)
