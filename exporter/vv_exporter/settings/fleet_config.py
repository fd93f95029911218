"""What a fleet's centre says of this device's configuration: which keys it may say, where the last good one is kept.

An environment beats it, and it beats `vv.yml`: key by key below `settings`, name by name in the other sections.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from vv_exporter.common.smallfiles import read_small
from vv_exporter.settings.catalogue import Settings, variables
from vv_exporter.settings.sections import ConfigFile

WHERE = "the fleet's configuration"
MAX_KEPT_BYTES = 8 << 20
"""A configuration of 1 MB, each character of which JSON may write as six, and some more."""
MAX_DEPTH = 20
"""Nothing in vv.yml needs more than 5."""

REMOTE_SECTIONS = ("settings", "stages", "jobs", "footage")
REMOTE_SETTINGS = frozenset(
    {
        "CONTAINER_CPU_HIGH",
        "CONTAINER_MEMORY_HIGH",
        "DIGEST_AT",
        "DIGEST_TIMEZONE",
        "DISK_CRITICAL_FREE",
        "DISK_FULL_WITHIN",
        "DISK_WARNING_FREE",
        "DVR_DOWN",
        "DVR_FAILURES",
        "DVR_FLAPPING",
        "DVR_FROZEN",
        "HOST_CPU_HIGH",
        "HOST_MEMORY_HIGH",
        "HOST_TEMPERATURE_HIGH",
        "INODES_WARNING_FREE",
        "MAX_PROCESSING_TIME_LOGLINE",
        "MAX_PROCESSING_TIME_SCAN_VIDEO",
        "MAX_PROCESSING_TIME_SUMMARIZE",
        "PIPELINE_STALLED_AFTER",
        "VV_ALERT_WINDOW",
        "VV_COMMIT_INTERVAL",
        "VV_DELIVERY_SETTLE",
        "VV_DIRECT_AFTER",
        "VV_DRILL_AT",
        "VV_DRILL_OVERDUE",
        "VV_DRILL_TIMEZONE",
        "VV_EVENT_LAG_HIGH",
        "VV_FOOTAGE_MISSING",
        "VV_FOOTAGE_RETENTION",
        "VV_FOOTAGE_SIGNED_WITHIN",
        "VV_HMAC_KEY_MAX_AGE",
        "VV_STAGE_OVERDUE_DEFAULT",
        "VV_STAGE_OVERDUE_FACTOR",
        "VV_STAGE_OVERDUE_FLOOR",
        "VV_STAGE_STUCK_FACTOR",
    }
)
"""Limits and times that the exporter alone reads. A new setting is none of them until somebody adds it.

Whoever holds the key may thus make a device tell more or less. He may not name a path, an address, a receiver, a secret
or its file, what is restarted, or what is deleted, and not change from where and by which key he is believed.
"""


class KeptConfig(msgspec.Struct, frozen=True):
    """The last good one. `key` is the public key that it was checked with: with another it is not used."""

    version: int
    key: str
    config: str
    """In the form of `vv.yml`."""


def kept_file(settings: Settings) -> Path:
    """Where it is kept: in the folder that nobody but the exporter may write."""
    return settings.exporter_dir / "fleet-config.json"


def read_kept(settings: Settings) -> KeptConfig | None:
    """The last good one, whatever its key; None where there is none, or it cannot be read."""
    try:
        return msgspec.json.decode(read_small(kept_file(settings), MAX_KEPT_BYTES), type=KeptConfig)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def usable_kept(settings: Settings) -> KeptConfig | None:
    """The one that this device shall use: None where it pulls none any more, or trusts another key now."""
    kept = read_kept(settings) if settings.fleet_config_url else None
    return kept if kept is not None and kept.key == settings.fleet_config_key else None


def find_costly_yaml(text: bytes) -> str:
    """What takes a reader of YAML minutes, or all memory, for a few lines; "" for none, also in what is no YAML."""
    depth = 0
    with contextlib.suppress(yaml.YAMLError):
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                return "has aliases (*name); write out what they stand for"
            if depth > MAX_DEPTH:
                return f"is nested more than {MAX_DEPTH} deep"
    return ""


def forbidden_keys(file: ConfigFile) -> Iterator[str]:
    """A line for each key that may not come from the centre."""
    hidden = {variable.name for variable in variables().values() if variable.secret}
    for name in file.settings:
        if name not in REMOTE_SETTINGS:
            is_secret = name in hidden or name.removesuffix("_FILE") in hidden
            what = "is a secret, or the file of one" if is_secret else "is for the device to say"
            yield f"{name}: {what}, and may not stand in {WHERE}; remove it there (docs/fleet.md)"
    for section in ConfigFile.__struct_fields__:
        if section not in REMOTE_SECTIONS and getattr(file, section):
            yield f"{section}: is for the device to say, and may not stand in {WHERE}; remove it there (docs/fleet.md)"
    for name, job in file.jobs.items():
        if isinstance(job, dict) and "heartbeat_file" in job:
            yield f"jobs.{name}.heartbeat_file: is a path, and may not stand in {WHERE}; remove it there"


def merged(local: ConfigFile, remote: ConfigFile) -> ConfigFile:
    """`vv.yml` with what the centre says in the place of what it says of the same key or name."""
    sections: dict[str, Mapping[str, Any]] = {
        name: {**getattr(local, name), **getattr(remote, name)} for name in REMOTE_SECTIONS
    }
    return msgspec.structs.replace(local, **sections)
