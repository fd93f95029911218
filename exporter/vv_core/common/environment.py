"""What the SDK reads from the environment. A wrong value is told once and replaced by its default, never raised:
``vv config check`` is the strict one.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JOURNAL_MAX = 256_000_000
"""Default of ``VV_JOURNAL_MAX``, bytes: what the journal may take while nobody reads it."""

MAX_ATTEMPTS = 3
"""Default of ``VV_MAX_ATTEMPTS``."""

_MOST_DIGITS = 9  # of a number that is counted to

SYSTEM_STATE = "/var/lib/vv"
INSTALLED = (SYSTEM_STATE, "/etc/vv")
"""Folders that a device has where the exporter is installed for all its users."""

LOG_MAX = 16_000_000
"""Default of ``VV_LOG_MAX``, bytes: with the files that are kept (``logs.KEPT``), ``app.log`` has at most 96 MB."""

LEAST_LOG = 64_000
"""Least of ``VV_LOG_MAX``, bytes: room for a few of the longest lines."""

_complained: set[tuple[str, str]] = set()


def state_dir(environ: Mapping[str, str] = os.environ) -> str:
    """``VV_STATE_DIR``; by default ``/var/lib/vv`` where this device has it, or ``/etc/vv``, and for root.

    Elsewhere it is the user's, that of the XDG Base Directory Specification: ``$XDG_STATE_HOME/vv``,
    ``~/.local/state/vv``. Scripts and exporter follow the same rule, so that they meet.
    """
    if chosen := path("VV_STATE_DIR", environ):
        return chosen
    if os.geteuid() == 0 or any(os.path.isdir(folder) for folder in INSTALLED):
        return SYSTEM_STATE
    own = environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if not os.path.isabs(own):  # a user without a home, as containers have
        return SYSTEM_STATE
    return os.path.join(own, "vv")


def journal_dir(environ: Mapping[str, str] = os.environ) -> str:
    """Where writers and the exporter meet: ``$VV_STATE_DIR/journal``."""
    return os.path.join(state_dir(environ), "journal")


def log_dir(environ: Mapping[str, str] = os.environ) -> str:
    """``VV_LOG_DIR``, the folder of ``app.log``; by default ``$VV_STATE_DIR/logs``."""
    return path("VV_LOG_DIR", environ) or os.path.join(state_dir(environ), "logs")


def text(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """A setting as the exporter reads it: blanks around it, and a CR, are none of it; empty where it is unset."""
    return environ.get(name, "").strip()


def path(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The same of a file or folder: ``~`` is the user's home. ``..`` stays: it may stand behind a link."""
    chosen = text(name, environ)
    if not chosen:
        return ""
    expanded = os.path.expanduser(chosen)
    try:
        whole = os.path.join(os.getcwd(), expanded)
    except OSError:  # the working directory is gone
        return expanded
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))


def device_id(environ: Mapping[str, str] = os.environ) -> str:
    """``VV_DEVICE_ID``; by default the host's name."""
    return text("VV_DEVICE_ID", environ) or os.uname().nodename


def log_max(environ: Mapping[str, str] = os.environ) -> int:
    """``VV_LOG_MAX`` in bytes: the size at which ``app.log`` is moved away; 0 for never."""
    size = _parsed_variable("VV_LOG_MAX", "parse_size", environ)
    if size is None:
        return LOG_MAX
    return max(int(size), LEAST_LOG) if size else 0


def journal_max(environ: Mapping[str, str] = os.environ) -> int:
    """``VV_JOURNAL_MAX`` in bytes."""
    size = _parsed_variable("VV_JOURNAL_MAX", "parse_size", environ)
    return JOURNAL_MAX if size is None else int(size)


def max_attempts(environ: Mapping[str, str] = os.environ) -> int:
    """``VV_MAX_ATTEMPTS``: how often a stage is tried with one video."""
    chosen = text("VV_MAX_ATTEMPTS", environ)
    if not chosen:
        return MAX_ATTEMPTS
    if chosen.isascii() and chosen.isdigit() and len(chosen) <= _MOST_DIGITS and int(chosen):
        return int(chosen)
    _complain_once("VV_MAX_ATTEMPTS", f"{chosen[:40]!r} is not a whole number above 0")
    return MAX_ATTEMPTS


def stage_limit(stage: str, environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds after which a run of `stage` is overdue, from ``MAX_PROCESSING_TIME_<STAGE>``; None if unset.

    The variable is the stage's name in capitals, or a beginning of it that ends at an underscore:
    ``MAX_PROCESSING_TIME_SUMMARIZE`` holds for ``summarize_scene``. The longest that is set counts.
    """
    for name in _limit_names(stage):
        if limit := _parsed_variable(name, "parse_duration", environ):
            return limit
    return None


@lru_cache(maxsize=256)
def _limit_names(stage: str) -> tuple[str, ...]:
    words = "".join(c if c.isalnum() else "_" for c in stage.upper()).split("_")
    return tuple("MAX_PROCESSING_TIME_" + "_".join(words[:length]) for length in range(len(words), 0, -1))


def script_name() -> str:
    """The running script, the component of those who do not name one."""
    return os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] not in ("", "-c") else "python"


def _parsed_variable(name: str, parser: str, environ: Mapping[str, str]) -> float | None:
    chosen = text(name, environ)
    if not chosen:
        return None
    from vv_core.common import units  # costs a script nothing as long as nothing is set

    parse: Callable[[str], float] = getattr(units, parser)
    try:
        return parse(chosen)
    except ValueError as error:
        _complain_once(name, str(error))
        return None


def _complain_once(name: str, problem: str) -> None:
    if (name, problem) in _complained:
        return
    _complained.add((name, problem))
    from vv_core.common import sdklog

    sdklog.warn("vv_core", "%s: %s; its default is used", name, problem)
