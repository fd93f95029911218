"""What can be configured: every key with its default, its meaning and its check.

Each variable can stand in the environment or, under the same name, in `vv.yml` below `settings:`; the environment
wins. What does not fit a variable (jobs, stages, containers) has sections of its own in `vv.yml`. A secret can be
given as `NAME` or, better, as `NAME_FILE`, the path of a file that holds it.

Everything is read and checked once, by `load`; each complaint names its key and the cure.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import msgspec
import yaml
from cronsim import CronSim, CronSimError

from vv_core._environment import LEAST_LOG
from vv_core._environment import state_dir as default_state_dir
from vv_core._units import parse_duration, parse_size
from vv_exporter._clock import utc

S = TypeVar("S", bound=msgspec.Struct)

DEFAULT_CONFIG = Path("/etc/vv/vv.yml")
RUNBOOK_BASE_URL = "https://github.com/VV-Video-AI-System/vv-exporter/blob/main/docs/runbooks"


class SettingsError(Exception):
    """The configuration cannot be used. `problems` are lines that each name a key and the cure."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be shown: `str()` and `repr()` hide it."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "(hidden)"

    def __bool__(self) -> bool:
        return bool(self.value)


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """Least free space: as a share of the file system (0 to 1), in bytes, or both; None where not asked for."""

    ratio: float | None
    bytes: int | None


class Duration(float):
    """Seconds, written `90`, `90s`, `15m`, `2h` or `1d`."""


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


@dataclass(frozen=True, slots=True)
class Dvr:
    """A DVR that is probed. `target` is the stream's path and query; without it only an answer is asked for."""

    host: str
    port: int = 554
    target: str = ""
    username: str = ""
    password: Secret = Secret("")
    interval: float = 30.0
    timeout: float = 10.0

    @property
    def address(self) -> str:
        """host:port, as it may be shown: paths of some makers hold passwords."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for the DVR itself, without user and password."""
        return f"rtsp://{self.address}{self.target}"


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


def _text(value: str) -> str:
    return value


def _label(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise ValueError("letters, digits, '.', '_' and '-' only, at most 63, beginning with a letter or digit")
    return value


def _path(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_absolute():
        raise ValueError(f"{value!r} is not an absolute path; begin it with /")
    return path


def _optional_path(value: str) -> Path | None:
    return _path(value) if value else None


def _url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("must be a URL that begins with http:// or https://")
    return value.rstrip("/")


def _secret_url(value: str) -> Secret:
    return Secret(_url(value))


def _rtsp_url(value: str) -> Secret:
    if value:
        _dvr(value)
    return Secret(value)


def _dvr_address(value: str) -> str:
    if value and (any(c in value for c in "/@?#") or _dvr(f"rtsp://{value}").target):
        raise ValueError(f"{value!r} is not an address; write e.g. 192.168.1.10 or 192.168.1.10:8554")
    return value


def _dvr(url: str, username: str = "", password: str = "", **times: float) -> Dvr:
    """What a URL with or without user and password, and these by themselves, say of a DVR. Raises `ValueError`."""
    # Nothing of the URL is quoted: it may hold a password.
    if not re.fullmatch(r"[!-~]{1,2000}", url):
        raise ValueError("must be a URL without blanks and of ASCII characters; write others as %20 and the like")
    try:
        parts = urlsplit(url)
        port = parts.port or 554
    except ValueError:
        raise ValueError("must be a URL such as rtsp://192.168.1.10:554/Streaming/Channels/101") from None
    if parts.scheme != "rtsp" or not parts.hostname:
        raise ValueError("must be a URL that begins with rtsp://")
    if not username and not parts.username and ":" in password:
        username, _, password = password.partition(":")
    username = username or unquote(parts.username or "")
    password = password or unquote(parts.password or "")
    if not (username + password).isprintable():
        raise ValueError("user and password must not hold control characters")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Dvr(parts.hostname, port, target, username, Secret(password), **times)


def _port(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
        raise ValueError(f"{value!r} is not a port; give a number from 1 to 65535")
    return int(value)


def _log_size(value: str) -> int | None:
    size = parse_size(value)
    if 0 < size < LEAST_LOG:
        raise ValueError(f"{value!r} is too little for a few lines; give 0, or at least {LEAST_LOG // 1000}KB")
    return size or None


def _factor(value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 1 < factor < 1e6:
        raise ValueError(f"{value!r} is not a number above 1")
    return factor


def _positive(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) == 0:
        raise ValueError(f"{value!r} is not a whole number above 0")
    return int(value)


def _whole(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _duration(value: str) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError(f"{value!r} must be longer than 0")
    return seconds


def _optional_duration(value: str) -> float | None:
    return _duration(value) if value else None


def _whole_seconds(value: str) -> float:
    seconds = _duration(value)
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f"{value!r} must be whole seconds, at least 1s")
    return seconds


def _free_space(value: str) -> FreeSpace:
    ratio, size = None, None
    for part in (part.strip() for part in value.split(",") if part.strip()):
        if part.endswith("%"):
            try:
                ratio = float(part[:-1]) / 100
            except ValueError:
                raise ValueError(f"{part!r} is not a percentage; write e.g. 20%") from None
            if not 0 <= ratio <= 1:
                raise ValueError(f"{part!r} is not between 0% and 100%")
        else:
            size = parse_size(part)
    if ratio is None and size is None:
        raise ValueError("empty; write a percentage, a size or both, e.g. 20%,50GB")
    return FreeSpace(ratio, size)


def _share(value: str) -> float:
    text = value.removesuffix("%").strip()
    if not value.endswith("%") or not re.fullmatch(r"\d{1,3}(\.\d+)?", text) or not 0 < float(text) <= 100:
        raise ValueError(f"{value!r} is not a percentage above 0% and up to 100%; write e.g. 90%")
    return float(text) / 100


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return parse


@dataclass(frozen=True, slots=True)
class Variable:
    """A key of the environment: how it is read, its default as text, and what it means."""

    name: str
    parse: Callable[[str], Any]
    default: str | Callable[[], str]
    meaning: str
    secret: bool = False


def _variable(
    name: str, meaning: str, parse: Callable[[str], Any] = _text, default: str | Callable[[], str] = ""
) -> Any:
    return field(metadata={"variable": Variable(name, parse, default, meaning)})


def _secret(name: str, meaning: str, parse: Callable[[str], Any] = Secret) -> Any:
    return field(metadata={"variable": Variable(name, parse, "", meaning, secret=True)})


def _section(default: Callable[[], Any]) -> Any:
    return field(default_factory=default)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration, checked. Times are in seconds, sizes in bytes."""

    device_id: str = _variable(
        "VV_DEVICE_ID", "This device's name in every alert.", _label, lambda: socket.gethostname().split(".")[0]
    )
    state_dir: Path = _variable(
        "VV_STATE_DIR", "Where the journal and the exporter's state live.", _path, lambda: str(default_state_dir({}))
    )
    log_dir: Path | None = _variable("VV_LOG_DIR", "Folder of app.log; default: logs in VV_STATE_DIR.", _optional_path)
    video_storage_root: Path | None = _variable(
        "VIDEO_STORAGE_ROOT", "Folder of the videos (input/, corrupted/); watched when set.", _optional_path
    )
    journal_max: int = _variable(
        "VV_JOURNAL_MAX", "Disk that the journal may use while nobody reads it.", parse_size, "256MB"
    )
    log_max: int | None = _variable(
        "VV_LOG_MAX",
        "Size at which app.log is moved to app.log.1, and that to app.log.2 up to 5; 0: never (logrotate does it).",
        _log_size,
        "0",
    )
    history_days: int = _variable("VV_HISTORY_DAYS", "How many days of history are kept.", _positive, "30")
    alert_window: float = _variable(
        "VV_ALERT_WINDOW", "Identical send_alert calls within this time are one alert.", _duration, "15m"
    )
    exporter_port: int = _variable("VV_EXPORTER_PORT", "Port of the exporter.", _port, "19461")
    prometheus_port: int = _variable("VV_PROMETHEUS_PORT", "Port of Prometheus.", _port, "9090")
    alertmanager_port: int = _variable("VV_ALERTMANAGER_PORT", "Port of Alertmanager.", _port, "9093")
    alertmanager_url: str = _variable(
        "VV_ALERTMANAGER_URL", "Where alerts are sent; default: VV_ALERTMANAGER_PORT on 127.0.0.1.", _url
    )
    scrape_interval: float = _variable(
        "VV_SCRAPE_INTERVAL", "How often Prometheus scrapes and evaluates.", _whole_seconds, "10s"
    )
    runbook_base_url: str = _variable("VV_RUNBOOK_BASE_URL", "Where the runbooks are.", _url, RUNBOOK_BASE_URL)
    docker_host: str = _variable(
        "DOCKER_HOST", "The Docker Engine's address; default: /var/run/docker.sock where it exists."
    )
    host_proc: Path = _variable(
        "VV_HOST_PROC", "Where the device's /proc is; in a container, where it is mounted.", _path, "/proc"
    )
    host_sys: Path = _variable(
        "VV_HOST_SYS", "Where the device's /sys is; in a container, where it is mounted.", _path, "/sys"
    )
    max_restarts: int = _variable(
        "SELF_MONITOR_MAX_RESTARTS", "The self-monitor gives up on a container after as many restarts.", _positive, "5"
    )
    restart_window: float = _variable("SELF_MONITOR_WINDOW", "…within this time.", _duration, "1h")
    on_exhausted: str = _variable(
        "SELF_MONITOR_ON_EXHAUSTED",
        "What it then does with the container: leave it, or stop it and end Docker's own restarts.",
        _choice("leave", "stop"),
        "leave",
    )
    restart_backoff: float = _variable(
        "SELF_MONITOR_BACKOFF",
        "How long it waits before the first restart; doubled for each further one.",
        _duration,
        "5s",
    )
    restart_backoff_max: float = _variable(
        "SELF_MONITOR_BACKOFF_MAX", "The longest that it waits before a restart.", _duration, "5m"
    )
    quoted_log_lines: int = _variable(
        "SELF_MONITOR_LOG_LINES", "Last log lines of a container that the alert quotes; 0: none.", _whole, "5"
    )
    disk_warning_free: FreeSpace = _variable(
        "DISK_WARNING_FREE", "DiskSpaceLow below this share or size.", _free_space, "20%,50GB"
    )
    disk_critical_free: FreeSpace = _variable(
        "DISK_CRITICAL_FREE", "DiskSpaceCritical below this share or size.", _free_space, "10%,10GB"
    )
    container_cpu_high: float = _variable(
        "CONTAINER_CPU_HIGH", "ContainerHighCpu above this share of its CPU limit, or of all cores.", _share, "90%"
    )
    container_memory_high: float = _variable(
        "CONTAINER_MEMORY_HIGH",
        "ContainerHighMemory above this share of its memory limit, or of the device's memory.",
        _share,
        "90%",
    )
    host_cpu_high: float = _variable("HOST_CPU_HIGH", "HostHighCpu above this share of all cores.", _share, "90%")
    host_memory_high: float = _variable(
        "HOST_MEMORY_HIGH", "HostHighMemory above this share of the device's memory.", _share, "90%"
    )
    pipeline_stalled_after: float = _variable(
        "PIPELINE_STALLED_AFTER",
        "PipelineStalled when videos wait and no stage has succeeded for so long.",
        _duration,
        "30m",
    )
    max_scan_video: float | None = _variable(
        "MAX_PROCESSING_TIME_SCAN_VIDEO", "Longest expected run of the stage scan_video.", _optional_duration
    )
    max_summarize: float | None = _variable(
        "MAX_PROCESSING_TIME_SUMMARIZE", "Longest expected run of the stage summarize_scene.", _optional_duration
    )
    max_logline: float | None = _variable(
        "MAX_PROCESSING_TIME_LOGLINE", "Longest expected run of the stage logline_generator.", _optional_duration
    )
    stage_stuck_factor: float = _variable(
        "VV_STAGE_STUCK_FACTOR", "StageStuck when a run has taken this many times its limit.", _factor, "3"
    )
    dvr_url: Secret = _variable(
        "DVR_URL", "Stream of the DVR named `dvr`, rtsp://…; a password is better in DVR_PASSWORD_FILE.", _rtsp_url
    )
    dvr_ip: str = _variable(
        "DVR_IP", "That DVR's address; without DVR_URL only whether it answers is watched.", _dvr_address
    )
    dvr_username: str = _variable("DVR_USERNAME", "User at the DVR, if not in DVR_URL.")
    dvr_password: Secret = _secret("DVR_PASSWORD", "Password at the DVR, or user:password.")
    dvr_failures: int = _variable(
        "DVR_FAILURES", "A DVR is told as unreachable after this many failed attempts in a row.", _positive, "3"
    )
    dvr_down: float = _variable("DVR_DOWN", "It becomes critical after this time without a stream.", _duration, "15m")
    dvr_frozen: float = _variable(
        "DVR_FROZEN", "DvrStreamFrozen when a connected agent gets no frame for this long.", _duration, "30s"
    )
    slack_webhook_url: Secret = _secret("SLACK_WEBHOOK_URL", "Slack incoming webhook.", _secret_url)
    telegram_bot_token: Secret = _secret("TELEGRAM_BOT_TOKEN", "Telegram bot's token.")
    telegram_chat_id: Secret = _secret("TELEGRAM_CHAT_ID", "Telegram chat that the bot writes to.")
    telegram_api_url: str = _variable(
        "TELEGRAM_API_URL", "Base address of Telegram's API.", _url, "https://api.telegram.org"
    )
    pagerduty_routing_key: Secret = _secret("PAGERDUTY_ROUTING_KEY", "PagerDuty Events API v2 integration key.")
    pagerduty_url: str = _variable(
        "PAGERDUTY_URL", "PagerDuty's events address.", _url, "https://events.pagerduty.com/v2/enqueue"
    )
    opsgenie_api_key: Secret = _secret("OPSGENIE_API_KEY", "Opsgenie API key (Opsgenie ends in April 2027).")
    opsgenie_api_url: str = _variable(
        "OPSGENIE_API_URL", "Base address of Opsgenie's API.", _url, "https://api.opsgenie.com"
    )
    smtp_smarthost: str = _variable("SMTP_SMARTHOST", "Mail server, host:port.")
    smtp_from: str = _variable("SMTP_FROM", "Sender of e-mails.")
    smtp_username: str = _variable("SMTP_USERNAME", "User at the mail server.")
    smtp_password: Secret = _secret("SMTP_PASSWORD", "Password at the mail server.")
    smtp_require_tls: str = _variable(
        "SMTP_REQUIRE_TLS", "Refuse to send e-mail without TLS.", _choice("true", "false"), "true"
    )
    alert_email_to: str = _variable("ALERT_EMAIL_TO", "Receivers of e-mails, comma-separated.")
    webhook_url: Secret = _secret("WEBHOOK_URL", "Generic webhook that gets every alert as JSON.", _secret_url)
    deadman_url: Secret = _secret("DEADMAN_URL", "Outside check that the Watchdog pings.", _secret_url)

    stages: Mapping[str, StageSettings] = _section(dict)
    jobs: Mapping[str, JobSettings] = _section(dict)
    containers: ContainersSettings = _section(ContainersSettings)
    self_monitor: SelfMonitorSettings = _section(SelfMonitorSettings)
    dvrs: Mapping[str, Dvr] = _section(dict)

    @property
    def logs(self) -> Path:
        """The folder of app.log."""
        return self.log_dir or self.state_dir / "logs"

    @property
    def journal_dir(self) -> Path:
        """The folder that scripts write their events to."""
        return self.state_dir / "journal"

    @property
    def exporter_dir(self) -> Path:
        """The exporter's own folder: database, lock, token."""
        return self.state_dir / "exporter"

    @property
    def self_monitor_dir(self) -> Path:
        """The self-monitor's own folder: database, lock, view, requests."""
        return self.state_dir / "self-monitor"

    @property
    def exporter_url(self) -> str:
        """The exporter's address on this device."""
        return f"http://127.0.0.1:{self.exporter_port}"

    def runbook(self, alert: str) -> str:
        """The address of an alert's runbook."""
        return f"{self.runbook_base_url}/{alert}.md"

    @property
    def alertmanager(self) -> str:
        """Alertmanager's address without a slash at the end."""
        return self.alertmanager_url or f"http://127.0.0.1:{self.alertmanager_port}"


# Read by other parts of the product; known here so that a misspelt name can be told from them.
OTHER_VARIABLES = frozenset(
    {
        "VV_CONFIG",
        "VV_HMAC_KEYS_DIR",
        "VV_HMAC_KEY_FILE",
        "VV_MAX_ATTEMPTS",
        "VV_REQUIRE_ALL",
    }
)
_PREFIXES = ("CONTAINER_", "DISK_", "DVR_", "HOST_", "MAX_PROCESSING_", "SELF_MONITOR_", "VV_")
STAGE_LIMITS = {
    "scan_video": "max_scan_video",
    "summarize_scene": "max_summarize",
    "logline_generator": "max_logline",
}


def variables() -> dict[str, Variable]:
    """Every variable by the name of its field in `Settings`."""
    return {item.name: item.metadata["variable"] for item in fields(Settings) if "variable" in item.metadata}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the environment and `vv.yml`. Raises `SettingsError` with everything that is wrong."""
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    file = _read_file(environ, problems)
    known = variables()
    names = {variable.name for variable in known.values()} | OTHER_VARIABLES
    names |= {f"{variable.name}_FILE" for variable in known.values() if variable.secret}
    problems += _misspelt(environ, file.settings, names)
    given = {name: _scalar(value) for name, value in file.settings.items()} | {
        name: environ[name] for name in names if environ.get(name)
    }
    values: dict[str, Any] = {}
    for attribute, variable in known.items():
        try:
            values[attribute] = _value(variable, given)
        except (ValueError, OSError) as error:
            problems.append(f"{variable.name}: {error}")
    sections = _sections(file, values, problems)
    problems += _contradictions(values)
    if problems:
        raise SettingsError(problems)
    return Settings(**values, **sections)


def secret_files(environ: Mapping[str, str] | None = None) -> dict[str, Path]:
    """The files that hold secrets, by the key that names each; vv.yml (`VV_CONFIG`) is one if a secret stands in it."""
    environ = os.environ if environ is None else environ
    secrets = [variable.name for variable in variables().values() if variable.secret]
    file = _read_file(environ, [])
    settings = file.settings
    given = {f"{name}_FILE": environ.get(f"{name}_FILE") or settings.get(f"{name}_FILE") for name in secrets}
    files = {name: Path(_scalar(path)) for name, path in given.items() if path}
    dvrs = _items("dvrs", file.dvrs, DvrSettings, [])
    files |= {f"dvrs.{name}.password_file": Path(dvr.password_file) for name, dvr in dvrs.items() if dvr.password_file}
    if any(name in settings for name in secrets):
        files["VV_CONFIG"] = Path(environ.get("VV_CONFIG") or DEFAULT_CONFIG)
    return files


def _value(variable: Variable, given: Mapping[str, str]) -> Any:
    default = variable.default if isinstance(variable.default, str) else variable.default()
    text = given.get(variable.name, "")
    path = given.get(f"{variable.name}_FILE", "") if variable.secret else ""
    if text and path:
        raise ValueError(f"{variable.name} and {variable.name}_FILE are both set; keep one")
    if path:
        text = _read_secret(f"{variable.name}_FILE", path)
    return variable.parse((text or default).strip())


def _read_secret(key: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{key}: {path} is not text; it must hold the secret alone") from None
    except OSError as error:
        raise ValueError(f"{key}: {path} cannot be read ({error.strerror}); name a file that can") from None
    if not text:
        raise ValueError(f"{key}: {path} is empty; put the secret into it")
    return text


def _read_file(environ: Mapping[str, str], problems: list[str]) -> ConfigFile:
    named = environ.get("VV_CONFIG", "")
    path = Path(named) if named else DEFAULT_CONFIG
    if not named and not path.exists():
        return ConfigFile()
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
        return msgspec.convert(content if content is not None else {}, ConfigFile)
    except OSError as error:
        problems.append(f"VV_CONFIG: {path} cannot be read ({error.strerror}); name a file that can, or unset it")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"VV_CONFIG: {path} is not valid YAML: {' '.join(str(error).split())}")
    except msgspec.ValidationError as error:
        sections = ", ".join(ConfigFile.__struct_fields__)
        problems.append(f"VV_CONFIG: {path}: {_plain(error)}; its sections are {sections}")
    return ConfigFile()


class _UniqueKeys(yaml.SafeLoader):
    """YAML 1.2 forbids a key that stands twice; PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key} stands twice", key_node.start_mark)
            seen.add(key if isinstance(key, str) else id(key_node))
        return super().construct_mapping(node, deep)


def _misspelt(environ: Mapping[str, str], in_file: Mapping[str, Any], names: set[str]) -> list[str]:
    problems = [
        f"{name}: unknown key in vv.yml below settings:{_suggestion(name, names)}"
        for name in in_file
        if name not in names or name == "VV_CONFIG"
    ]
    # The environment also holds what is not ours: only a name that nearly is one of ours is taken for a slip.
    for name in environ:
        if name not in names and name.startswith(_PREFIXES):
            suggestion = _suggestion(name, names)
            if suggestion:
                problems.append(f"{name}: unknown key{suggestion}")
    return problems


def _suggestion(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return f"; did you mean {close[0]}?" if close else ""


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _sections(file: ConfigFile, values: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    stages = _items("stages", file.stages, StageSettings, problems)
    for stage, attribute in STAGE_LIMITS.items():
        if values.get(attribute) is not None:
            limit = Duration(values[attribute])
            stages[stage] = msgspec.structs.replace(stages.get(stage, StageSettings()), limit=limit)
    jobs = _items("jobs", file.jobs, JobSettings, problems)
    for name, job in jobs.items():
        problems += [f"jobs.{name}{problem}" for problem in _job_problems(job)]
    containers = _convert("containers", file.containers or {}, ContainersSettings, problems)
    self_monitor = _convert("self_monitor", file.self_monitor or {}, SelfMonitorSettings, problems)
    dvrs = _dvrs(file.dvrs, values, problems)
    return {
        "stages": stages,
        "jobs": jobs,
        "containers": containers or ContainersSettings(),
        "self_monitor": self_monitor or SelfMonitorSettings(),
        "dvrs": dvrs,
    }


def _dvrs(section: Mapping[str, Any], values: Mapping[str, Any], problems: list[str]) -> dict[str, Dvr]:
    """Those of the file, and the one of the environment, which is named `dvr` and wins."""
    dvrs = {}
    for name, item in _items("dvrs", section, DvrSettings, problems).items():
        try:
            _label(name)
            password = _read_secret("password_file", item.password_file) if item.password_file else ""
            dvrs[name] = _dvr(item.url, item.username, password, interval=item.interval, timeout=item.timeout)
        except ValueError as error:
            problems.append(f"dvrs.{name}: {error}")
    if any(f"dvr_{part}" not in values for part in ("url", "ip", "username", "password")):
        return dvrs  # said already
    url, username, password = values["dvr_url"].value, values["dvr_username"], values["dvr_password"].value
    url = url or (f"rtsp://{values['dvr_ip']}" if values["dvr_ip"] else "")
    try:
        if url:
            dvrs["dvr"] = _dvr(url, username, password)
        elif username or password:
            problems.append("DVR_URL: is not set, but a user or password for it is; set it, or use dvrs in vv.yml")
    except ValueError as error:
        problems.append(f"DVR_PASSWORD: {error}")
    return dvrs


def _items(section: str, items: Mapping[str, Any], type_: type[S], problems: list[str]) -> dict[str, S]:
    converted = {name: _convert(f"{section}.{name}", item or {}, type_, problems) for name, item in items.items()}
    return {name: item for name, item in converted.items() if item is not None}


def _convert(key: str, item: Any, type_: type[S], problems: list[str]) -> S | None:
    try:
        return msgspec.convert(item, type_, dec_hook=_decode_custom)
    except msgspec.ValidationError as error:
        problems.append(f"{key}: {_plain(error)}; known keys: {', '.join(type_.__struct_fields__)}")
        return None


def _decode_custom(type_: type, value: Any) -> Any:
    if type_ is Duration:
        return Duration(_duration(_scalar(value)))
    raise NotImplementedError(f"no decoder for {type_}")


def _plain(error: msgspec.ValidationError) -> str:
    return str(error).replace("Object contains unknown field", "unknown key").replace("Object missing", "missing")


def _job_problems(job: JobSettings) -> list[str]:
    problems = []
    if not (job.schedule or job.heartbeat_file or job.max_runtime):
        problems.append(': says nothing; give a schedule, e.g. "0 3 * * *", a heartbeat_file or a max_runtime')
    try:
        if job.schedule:
            next(CronSim(job.schedule, utc(0.0)))
    except CronSimError as error:
        problems.append(f'.schedule: {job.schedule!r} is not a cron expression ({error}); e.g. "0 3 * * *"')
    except StopIteration:
        problems.append(f'.schedule: {job.schedule!r} never comes; e.g. "0 3 * * *"')
    try:
        ZoneInfo(job.timezone)
    except (KeyError, ValueError, OSError):
        problems.append(f".timezone: {job.timezone!r} is not known; e.g. Europe/Lisbon")
    if job.heartbeat_file and not job.heartbeat_file.startswith("/"):
        problems.append(f".heartbeat_file: {job.heartbeat_file!r} is not an absolute path; begin it with /")
    return problems


def _contradictions(values: Mapping[str, Any]) -> list[str]:
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
        f"SELF_MONITOR_WINDOW: {count} restarts with these back-offs take {least:.0f} s or more, so that it would "
        "never give up; make it longer"
    ]


def back_off(made: int, first: float, longest: float) -> float:
    """How long the self-monitor waits before the next restart when `made` lie in the window, in seconds."""
    return min(longest, first * 2.0 ** min(made, 64))
