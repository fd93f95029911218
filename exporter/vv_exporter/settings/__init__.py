"""What can be configured: every key with its default, its meaning and its check.

Each variable can stand in the environment or, under the same name, in `vv.yml` below `settings:`; the environment
wins. What does not fit a variable (jobs, stages, containers) has sections of its own in `vv.yml`. A secret can be
given as `NAME` or, better, as `NAME_FILE`, the path of a file that holds it.

Everything is read and checked once, by `load`; each complaint names its key and the cure.
"""

from vv_exporter.settings.catalogue import RUNBOOK_BASE_URL, Settings, Variable, project_runbooks, variables
from vv_exporter.settings.checks import back_off
from vv_exporter.settings.loading import SettingsError, load, load_with_fleet_config, load_yaml, secret_files
from vv_exporter.settings.sections import (
    ContainersSettings,
    DvrSettings,
    FootageSettings,
    JobSettings,
    SelfMonitorSettings,
    StageSettings,
)
from vv_exporter.settings.values import Duration, Dvr, FreeSpace, QuietHours, Secret

__all__ = [
    "RUNBOOK_BASE_URL",
    "ContainersSettings",
    "Duration",
    "Dvr",
    "DvrSettings",
    "FootageSettings",
    "FreeSpace",
    "JobSettings",
    "QuietHours",
    "Secret",
    "SelfMonitorSettings",
    "Settings",
    "SettingsError",
    "StageSettings",
    "Variable",
    "back_off",
    "load",
    "load_with_fleet_config",
    "load_yaml",
    "project_runbooks",
    "secret_files",
    "variables",
]
