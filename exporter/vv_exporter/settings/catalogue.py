"""Every variable: its field, its name, its default, its parser and its meaning."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vv_core.common.environment import LOG_MAX
from vv_core.common.environment import state_dir as default_state_dir
from vv_core.common.units import parse_size
from vv_exporter.common.matchers import link_filter
from vv_exporter.language import ENGLISH, languages
from vv_exporter.settings import compose
from vv_exporter.settings import parsers as parse
from vv_exporter.settings.sections import (
    ContainersSettings,
    FootageSettings,
    JobSettings,
    SelfMonitorSettings,
    StageSettings,
)
from vv_exporter.settings.values import Dvr, FreeSpace, QuietHours, Secret

RUNBOOK_BASE_URL = "https://github.com/VV-Video-AI-System/vv-exporter/blob/main/docs/runbooks"


def project_runbooks(language: str) -> str:
    """Where the project has its runbooks in a language: `docs/runbooks`, `docs/pt-BR/runbooks`."""
    docs = RUNBOOK_BASE_URL.removesuffix("/runbooks")
    return RUNBOOK_BASE_URL if language == ENGLISH else f"{docs}/{language}/runbooks"


@dataclass(frozen=True, slots=True)
class Variable:
    """A key of the environment: how it is read, its default as text, and what it means."""

    name: str
    parse: Callable[[str], Any]
    default: str | Callable[[], str]
    meaning: str
    secret: bool = False


def _variable(
    name: str, meaning: str, parse: Callable[[str], Any] = parse.text, default: str | Callable[[], str] = ""
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
        "VV_DEVICE_ID", "This device's name in every alert.", parse.label, lambda: socket.gethostname().split(".")[0]
    )
    language: str = _variable(
        "VV_LANGUAGE",
        f"The language of what is sent to people, and of pages for a browser that asks for none of these: "
        f"{', '.join(languages())}.",
        parse.language,
        ENGLISH,
    )
    state_dir: Path = _variable(
        "VV_STATE_DIR",
        "Where the journal and the exporter's state live; default, scripts' too: /var/lib/vv where the device has it "
        "or /etc/vv, and for root; else ~/.local/state/vv.",
        parse.path,
        lambda: default_state_dir({"XDG_STATE_HOME": os.environ.get("XDG_STATE_HOME", "")}),
    )
    log_dir: Path | None = _variable(
        "VV_LOG_DIR", "Folder of app.log; default: logs in VV_STATE_DIR.", parse.optional_path
    )
    video_storage_root: Path | None = _variable(
        "VIDEO_STORAGE_ROOT", "Folder of the videos (input/, corrupted/); watched when set.", parse.optional_path
    )
    journal_max: int = _variable(
        "VV_JOURNAL_MAX", "Disk that the journal may use while nobody reads it.", parse_size, "256MB"
    )
    commit_interval: float = _variable(
        "VV_COMMIT_INTERVAL",
        "Successes that scripts report are shown at once, and written to the exporter's database after so long; all "
        "else at once.",
        parse.duration,
        "30s",
    )
    log_max: int | None = _variable(
        "VV_LOG_MAX",
        "Size at which app.log is moved to app.log.1, and that to app.log.2 up to 5; 0: never (logrotate does it).",
        parse.log_size,
        f"{LOG_MAX // 1_000_000}MB",
    )
    history_days: int = _variable("VV_HISTORY_DAYS", "How many days of history are kept.", parse.positive, "30")
    alert_window: float = _variable(
        "VV_ALERT_WINDOW", "Identical send_alert calls within this time are one alert.", parse.duration, "15m"
    )
    direct_after: float = _variable(
        "VV_DIRECT_AFTER",
        "When Alertmanager has not answered for so long, alerts of scripts are sent to people directly.",
        parse.duration,
        "2m",
    )
    alert_path_after: float = _variable(
        "VV_ALERT_PATH_AFTER",
        "When the Watchdog alert has not come back through Prometheus and Alertmanager for so long, alerts are sent "
        "directly.",
        parse.duration,
        "3m",
    )
    drill_at: str = _variable(
        "VV_DRILL_AT",
        "When the way of alerts to every channel is tried by a drill, a cron expression such as 0 10 * * 1; empty: "
        "only when `vv drill` is called. It pages, so once an hour at most.",
        parse.drill_schedule,
    )
    drill_timezone: str = _variable("VV_DRILL_TIMEZONE", "The time zone of that.", parse.timezone, "UTC")
    drill_overdue: float | None = _variable(
        "VV_DRILL_OVERDUE",
        "DrillOverdue when a channel was not proven by a drill for so long; off: never; default: twice the longest "
        "pause of VV_DRILL_AT, and never without that.",
        parse.duration_or_off,
    )
    delivery_settle: float = _variable(
        "VV_DELIVERY_SETTLE",
        "How long after its end an undelivered alert may still be sent; then it is in the summary.",
        parse.duration,
        "6m",
    )
    exporter_port: int = _variable("VV_EXPORTER_PORT", "Port of the exporter.", parse.port, "19461")
    prometheus_port: int = _variable("VV_PROMETHEUS_PORT", "Port of Prometheus.", parse.port, "9090")
    alertmanager_port: int = _variable("VV_ALERTMANAGER_PORT", "Port of Alertmanager.", parse.port, "9093")
    alertmanager_url: str = _variable(
        "VV_ALERTMANAGER_URL", "Where alerts are sent; default: VV_ALERTMANAGER_PORT on 127.0.0.1.", parse.shown_url
    )
    prometheus_url: str = _variable(
        "VV_PROMETHEUS_URL",
        "Where the exporter asks Prometheus why no Watchdog comes back; default: VV_PROMETHEUS_PORT on 127.0.0.1.",
        parse.shown_url,
    )
    own_url: str = _variable(
        "VV_EXPORTER_URL",
        "Where Prometheus, Alertmanager and `vv status` reach the exporter; default: VV_EXPORTER_PORT on 127.0.0.1.",
        parse.exporter_url,
    )
    web_config_file: Path | None = _variable(
        "VV_WEB_CONFIG_FILE",
        "TLS and users of the exporter, in the format of Prometheus' exporter-toolkit (docs/web.md).",
        parse.optional_path,
    )
    exporter_username: str = _variable(
        "VV_EXPORTER_USERNAME", "Where the exporter has users, the one that Prometheus and `vv` ask it as."
    )
    exporter_password: Secret = _secret("VV_EXPORTER_PASSWORD", "That user's password.")
    exporter_ca_file: Path | None = _variable(
        "VV_EXPORTER_CA_FILE",
        "The certificates (PEM) that the exporter's TLS is checked with; default: those of the system.",
        parse.optional_path,
    )
    status_page_url: str = _variable(
        "VV_PUBLIC_URL",
        "Where people reach the exporter's pages, for links in messages; default: VV_EXPORTER_HOST_URL.",
        parse.shown_url,
    )
    silences_url: str = _variable(
        "VV_ALERTMANAGER_PUBLIC_URL",
        "Where people reach Alertmanager's pages; without VV_PUBLIC_URL *Silence* in messages leads there.",
        parse.shown_url,
    )
    exporter_host_url: str = _variable(
        "VV_EXPORTER_HOST_URL",
        "The exporter's address in a shell of the device, for links and commands; default: its port on 127.0.0.1.",
        parse.exporter_url,
    )
    prometheus_host_url: str = _variable(
        "VV_PROMETHEUS_HOST_URL", "Prometheus' one; default: VV_PROMETHEUS_URL.", parse.shown_url
    )
    alertmanager_host_url: str = _variable(
        "VV_ALERTMANAGER_HOST_URL", "Alertmanager's one; default: VV_ALERTMANAGER_URL.", parse.shown_url
    )
    deployment: str = _variable(
        "VV_DEPLOYMENT",
        "What runs the parts, for commands in alerts and runbooks: compose, systemd or up. Each sets it itself.",
        parse.choice("", "compose", "systemd", "up"),
    )
    compose_project: str = _variable("VV_COMPOSE_PROJECT", "Name of the project, with compose.", parse.label, "vv")
    scrape_interval: float = _variable(
        "VV_SCRAPE_INTERVAL", "How often Prometheus scrapes and evaluates.", parse.whole_seconds, "10s"
    )
    remote_write_url: str = _variable(
        "VV_REMOTE_WRITE_URL",
        "A store of many devices that Prometheus sends all series to (docs/fleet.md).",
        parse.open_url,
    )
    remote_write_username: str = _variable("VV_REMOTE_WRITE_USERNAME", "User at that store, with a password.")
    remote_write_password: Secret = _secret("VV_REMOTE_WRITE_PASSWORD", "Password at that store.")
    remote_write_token: Secret = _secret("VV_REMOTE_WRITE_TOKEN", "Bearer token at that store, instead of these.")
    fleet_url: str = _variable(
        "VV_FLEET_URL", "The centre of a fleet, which this device's agent sends to (docs/fleet.md).", parse.open_url
    )
    fleet_token: Secret = _secret("VV_FLEET_TOKEN", "This device's token there.")
    site: str = _variable("VV_SITE", "Where the device is, as the centre shows it: a name that its neighbours share.")
    fleet_interval: float = _variable(
        "VV_FLEET_INTERVAL", "How often what is kept there is sent.", parse.whole_seconds, "60s"
    )
    fleet_bytes_per_day: int = _variable(
        "VV_FLEET_BYTES_PER_DAY", "How much it may send there in a day; 0: no limit.", parse.bytes_or_none, "200MB"
    )
    fleet_queue_max: int = _variable(
        "VV_FLEET_QUEUE_MAX",
        "How much may wait on the disk to be sent, at least 537MB; above it the oldest is lost.",
        parse.queue_size,
        "537MB",
    )
    fleet_agent_port: int = _variable("VV_FLEET_AGENT_PORT", "Port of that agent (vmagent).", parse.port, "8429")
    fleet_agent_url: str = _variable(
        "VV_FLEET_AGENT_URL", "The agent's address, if it is not that port on 127.0.0.1.", parse.shown_url
    )
    fleet_config_url: str = _variable(
        "VV_FLEET_CONFIG_URL",
        "Where this device pulls its fleet's signed configuration, https://… (docs/fleet.md).",
        parse.fleet_config_url,
    )
    fleet_config_key: str = _variable(
        "VV_FLEET_CONFIG_KEY",
        "The public key that it must be signed with: what `vv fleet keygen` prints, or the path of its file.",
        parse.ed25519_public_key,
    )
    fleet_config_interval: float = _variable(
        "VV_FLEET_CONFIG_INTERVAL",
        "How often it is pulled; a tenth more or less, so that devices do not all come at once.",
        parse.whole_seconds,
        "10m",
    )
    runbook_base_url: str = _variable(
        "VV_RUNBOOK_BASE_URL",
        "Where the runbooks are, as NAME.md; default: /runbooks at VV_PUBLIC_URL where that is set, else the project's "
        "own.",
        parse.shown_url,
    )
    docker_host: str = _variable(
        "DOCKER_HOST", "The Docker Engine's address; default: /var/run/docker.sock where it exists."
    )
    docker_read_users: str = _variable(
        "VV_DOCKER_READ_USERS",
        "Whom the Docker proxy lets look: users and @groups, by name or number; default: whom its socket's mode lets.",
        parse.peers,
    )
    docker_act_users: str = _variable(
        "VV_DOCKER_ACT_USERS",
        "Whom it lets restart containers and read their logs; default: whom that socket's mode lets.",
        parse.peers,
    )
    host_proc: Path = _variable(
        "VV_HOST_PROC", "Where the device's /proc is; in a container, where it is mounted.", parse.path, "/proc"
    )
    host_sys: Path = _variable(
        "VV_HOST_SYS", "Where the device's /sys is; in a container, where it is mounted.", parse.path, "/sys"
    )
    host_root: Path = _variable(
        "VV_HOST_ROOT",
        "A path on the device's system disk; in a container, where any file or folder of it is mounted.",
        parse.path,
        "/",
    )
    max_restarts: int = _variable(
        "SELF_MONITOR_MAX_RESTARTS",
        "The self-monitor gives up on a container after as many restarts.",
        parse.positive,
        "5",
    )
    restart_window: float = _variable("SELF_MONITOR_WINDOW", "…within this time.", parse.duration, "1h")
    on_exhausted: str = _variable(
        "SELF_MONITOR_ON_EXHAUSTED",
        "What it then does with the container: leave it, or stop it and end Docker's own restarts.",
        parse.choice("leave", "stop"),
        "leave",
    )
    restart_backoff: float = _variable(
        "SELF_MONITOR_BACKOFF",
        "How long it waits before the first restart; doubled for each further one.",
        parse.duration,
        "5s",
    )
    restart_backoff_max: float = _variable(
        "SELF_MONITOR_BACKOFF_MAX", "The longest that it waits before a restart.", parse.duration, "5m"
    )
    quoted_log_lines: int = _variable(
        "SELF_MONITOR_LOG_LINES", "Last log lines of a container that the alert quotes; 0: none.", parse.whole, "5"
    )
    disk_warning_free: FreeSpace = _variable(
        "DISK_WARNING_FREE",
        "DiskSpaceLow below this share or size; the size counts up to the share after max, if there is one.",
        parse.free_space,
        "20%,50GB,max30%",
    )
    disk_critical_free: FreeSpace = _variable(
        "DISK_CRITICAL_FREE",
        "DiskSpaceCritical below this share or size; the size counts up to the share after max, if there is one.",
        parse.free_space,
        "10%,10GB,max15%",
    )
    container_cpu_high: float = _variable(
        "CONTAINER_CPU_HIGH", "ContainerHighCpu above this share of its CPU limit, or of all cores.", parse.share, "90%"
    )
    container_memory_high: float = _variable(
        "CONTAINER_MEMORY_HIGH",
        "ContainerHighMemory above this share of its memory limit, or of the device's memory.",
        parse.share,
        "90%",
    )
    host_cpu_high: float = _variable("HOST_CPU_HIGH", "HostHighCpu above this share of all cores.", parse.share, "90%")
    host_memory_high: float = _variable(
        "HOST_MEMORY_HIGH", "HostHighMemory above this share of the device's memory.", parse.share, "90%"
    )
    host_temperature_high: float = _variable(
        "HOST_TEMPERATURE_HIGH", "HostOverheating above so many degrees Celsius.", parse.celsius, "85"
    )
    inodes_warning_free: float = _variable(
        "INODES_WARNING_FREE", "InodesLow when a smaller share of the inodes is free.", parse.share, "10%"
    )
    disk_full_within: float = _variable(
        "DISK_FULL_WITHIN", "DiskFillingUp when a disk will be full within this time.", parse.duration, "24h"
    )
    event_lag_high: float = _variable(
        "VV_EVENT_LAG_HIGH",
        "EventsLagging when events are counted so long after they were written.",
        parse.duration,
        "1m",
    )
    pipeline_stalled_after: float = _variable(
        "PIPELINE_STALLED_AFTER",
        "PipelineStalled when videos wait and no stage has succeeded for so long.",
        parse.duration,
        "30m",
    )
    max_scan_video: float | None = _variable(
        "MAX_PROCESSING_TIME_SCAN_VIDEO", "Longest expected run of the stage scan_video.", parse.optional_duration
    )
    max_summarize: float | None = _variable(
        "MAX_PROCESSING_TIME_SUMMARIZE", "Longest expected run of the stage summarize_scene.", parse.optional_duration
    )
    max_logline: float | None = _variable(
        "MAX_PROCESSING_TIME_LOGLINE", "Longest expected run of the stage logline_generator.", parse.optional_duration
    )
    stage_overdue_factor: float = _variable(
        "VV_STAGE_OVERDUE_FACTOR",
        "Without a limit of its own, a run is overdue after this many times what 95 % of the stage's recent runs took.",
        parse.factor,
        "3",
    )
    stage_overdue_floor: float = _variable("VV_STAGE_OVERDUE_FLOOR", "…and not before this time.", parse.duration, "5m")
    stage_overdue_default: float = _variable(
        "VV_STAGE_OVERDUE_DEFAULT",
        "The limit of runs without one of their own while the stage has fewer than 5 successful runs.",
        parse.duration,
        "1h",
    )
    stage_stuck_factor: float = _variable(
        "VV_STAGE_STUCK_FACTOR", "StageStuck when a run has taken this many times its limit.", parse.factor, "3"
    )
    dvr_url: Secret = _variable(
        "DVR_URL", "Stream of the DVR named `dvr`, rtsp://…; a password is better in DVR_PASSWORD_FILE.", parse.rtsp_url
    )
    dvr_ip: str = _variable(
        "DVR_IP", "That DVR's address; without DVR_URL only whether it answers is watched.", parse.dvr_address
    )
    dvr_username: str = _variable("DVR_USERNAME", "User at the DVR, if not in DVR_URL.")
    dvr_password: Secret = _secret("DVR_PASSWORD", "Password at the DVR, or user:password.")
    dvr_failures: int = _variable(
        "DVR_FAILURES",
        "A DVR is reported as unreachable after this many failed attempts in a row.",
        parse.positive,
        "3",
    )
    dvr_down: float = _variable(
        "DVR_DOWN", "It becomes critical after this time without a stream.", parse.duration, "15m"
    )
    dvr_flapping: int = _variable(
        "DVR_FLAPPING", "DvrFlapping when its stream is lost this often within an hour.", parse.positive, "5"
    )
    dvr_frozen: float = _variable(
        "DVR_FROZEN", "DvrStreamFrozen when a connected agent gets no frame for this long.", parse.duration, "30s"
    )
    footage_missing: float = _variable(
        "VV_FOOTAGE_MISSING",
        "FootageMissing when more footage of a camera than this is missing within an hour.",
        parse.duration,
        "1m",
    )
    footage_retention: float | None = _variable(
        "VV_FOOTAGE_RETENTION",
        "RetentionShort when the files of a camera do not reach back this far, e.g. 30d; off: never. For one camera: "
        "`retention` in `footage` of vv.yml.",
        parse.duration_or_off,
        "off",
    )
    footage_signed_within: float | None = _variable(
        "VV_FOOTAGE_SIGNED_WITHIN",
        "FootageUnsigned when a recording is not signed after this time, e.g. 6h; off: never. For one camera: "
        "`signed_within` in `footage` of vv.yml.",
        parse.duration_or_off,
        "off",
    )
    chain_logs: tuple[str, ...] = _variable(
        "VV_CHAIN_LOGS",
        "Logs of chained lines that the exporter verifies at its start and then hourly: paths and patterns, separated "
        "by commas (docs/chain.md).",
        parse.patterns,
    )
    hmac_key_max_age: float | None = _variable(
        "VV_HMAC_KEY_MAX_AGE",
        "HmacKeyOld when no key for signatures is newer; off: never.",
        parse.duration_or_off,
        "365d",
    )
    quiet_hours: QuietHours | None = _variable(
        "VV_QUIET_HOURS",
        "Times of the day at which warnings are not sent to chat, e.g. 22:00-06:00; e-mail collects them.",
        parse.quiet_hours,
    )
    quiet_hours_timezone: str = _variable("VV_QUIET_HOURS_TIMEZONE", "Their time zone.", parse.timezone, "UTC")
    slack_webhook_url: Secret = _secret("SLACK_WEBHOOK_URL", "Slack incoming webhook.", parse.secret_url)
    telegram_bot_token: Secret = _secret("TELEGRAM_BOT_TOKEN", "Telegram bot's token.")
    telegram_chat_id: Secret = _secret("TELEGRAM_CHAT_ID", "Telegram chat that the bot writes to.")
    telegram_api_url: str = _variable(
        "TELEGRAM_API_URL", "Base address of Telegram's API.", parse.shown_url, "https://api.telegram.org"
    )
    telegram_through_exporter: str = _variable(
        "TELEGRAM_THROUGH_EXPORTER",
        "Have Alertmanager write to Telegram by way of the exporter: for a proxy at TELEGRAM_API_URL whose answers "
        "name no chat, which crashes Alertmanager. `vv up` does so itself after the first crash.",
        parse.choice("true", "false"),
        "false",
    )
    pagerduty_routing_key: Secret = _secret("PAGERDUTY_ROUTING_KEY", "PagerDuty Events API v2 integration key.")
    pagerduty_url: str = _variable(
        "PAGERDUTY_URL", "PagerDuty's events address.", parse.shown_url, "https://events.pagerduty.com/v2/enqueue"
    )
    opsgenie_api_key: Secret = _secret("OPSGENIE_API_KEY", "Opsgenie API key (Opsgenie ends in April 2027).")
    opsgenie_api_url: str = _variable(
        "OPSGENIE_API_URL", "Base address of Opsgenie's API.", parse.shown_url, "https://api.opsgenie.com"
    )
    smtp_smarthost: str = _variable("SMTP_SMARTHOST", "Mail server, host:port.")
    smtp_from: str = _variable("SMTP_FROM", "Sender of e-mails.")
    smtp_username: str = _variable("SMTP_USERNAME", "User at the mail server.")
    smtp_password: Secret = _secret("SMTP_PASSWORD", "Password at the mail server.")
    smtp_require_tls: str = _variable(
        "SMTP_REQUIRE_TLS",
        "Refuse to send e-mail without TLS; where there is a password, that holds in any case.",
        parse.choice("true", "false"),
        "true",
    )
    alert_email_to: str = _variable("ALERT_EMAIL_TO", "Receivers of e-mails, comma-separated.")
    digest_at: str = _variable(
        "DIGEST_AT",
        "When the daily digest is mailed, e.g. 07:00; off: never. Without a mail server there is none.",
        parse.time_of_day,
        "07:00",
    )
    digest_timezone: str = _variable("DIGEST_TIMEZONE", "The time zone of that.", parse.timezone, "UTC")
    webhook_url: Secret = _secret(
        "WEBHOOK_URL", "Generic webhook: each alert as a small JSON object (docs/webhook.md).", parse.secret_url
    )
    webhook_statements: str = _variable(
        "WEBHOOK_STATEMENTS",
        "Post the signed statement of each day's footage there as well (docs/webhook.md).",
        parse.choice("true", "false"),
        "false",
    )
    alertmanager_webhook_url: Secret = _secret(
        "ALERTMANAGER_WEBHOOK_URL",
        "Another one, for programs that read Alertmanager's own JSON, sent by Alertmanager.",
        parse.secret_url,
    )
    deadman_url: Secret = _secret("DEADMAN_URL", "Outside check that the Watchdog pings.", parse.secret_url)

    stages: Mapping[str, StageSettings] = _section(dict)
    jobs: Mapping[str, JobSettings] = _section(dict)
    containers: ContainersSettings = _section(ContainersSettings)
    self_monitor: SelfMonitorSettings = _section(SelfMonitorSettings)
    dvrs: Mapping[str, Dvr] = _section(dict)
    footage: Mapping[str, FootageSettings] = _section(dict)
    fleet_config_version: int = 0
    """That of the fleet's configuration which is part of these settings; 0: none is."""

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
    def digest_schedule(self) -> str:
        """When the digest is mailed, as a cron expression; empty for never."""
        hour, _, minute = self.digest_at.partition(":")
        return f"{int(minute)} {int(hour)} * * *" if self.digest_at and self.smtp_smarthost else ""

    @property
    def mail_needs_tls(self) -> bool:
        """Whether no mail is sent without TLS: as `SMTP_REQUIRE_TLS` says, and always where a password is sent."""
        return self.smtp_require_tls == "true" or bool(self.smtp_username)

    @property
    def exporter_url(self) -> str:
        """The exporter's address for programs."""
        return self.own_url or f"http://127.0.0.1:{self.exporter_port}"

    @property
    def exporter_on_host(self) -> str:
        """The exporter's address in a shell of the device."""
        if self.exporter_host_url:
            return _reachable_address(self.exporter_host_url)
        address = urlsplit(self.exporter_url)
        if address.hostname in ("localhost", "127.0.0.1", "::1"):
            return self.exporter_url
        return f"{address.scheme}://127.0.0.1:{self.exporter_port}"

    @property
    def prometheus_on_host(self) -> str:
        """Prometheus' address in a shell of the device."""
        return _reachable_address(self.prometheus_host_url) or self.prometheus

    @property
    def alertmanager_on_host(self) -> str:
        """Alertmanager's address in a shell of the device."""
        return _reachable_address(self.alertmanager_host_url) or self.alertmanager

    @property
    def public_url(self) -> str:
        """The address of the exporter's pages for people."""
        return self.status_page_url or self.exporter_on_host

    @property
    def alertmanager_public_url(self) -> str:
        """Alertmanager's address for people."""
        return (
            self.silences_url
            or _reachable_address(self.alertmanager_host_url)
            or f"http://127.0.0.1:{self.alertmanager_port}"
        )

    @property
    def silence_form(self) -> str:
        """The address of the form for a new silence, up to the matchers: `{name="value",…}`, encoded, follow it.

        The exporter's own, since a packaged Alertmanager may have no pages.
        """
        if self.silences_url and not self.status_page_url:
            return f"{self.silences_url}/#/silences/new?filter="
        return f"{self.public_url}/silence?filter="

    def silence_url(self, labels: Mapping[str, str]) -> str:
        """The form for a new silence of the alert with these labels."""
        return f"{self.silence_form}{link_filter(labels)}"

    def runbook(self, alert: str) -> str:
        """The address of an alert's runbook."""
        if self.status_page_url and not self.runbook_base_url:
            return f"{self.status_page_url}/runbooks/{alert}"
        return f"{self.runbook_base_url or project_runbooks(self.language)}/{alert}.md"

    @property
    def alertmanager(self) -> str:
        """Alertmanager's address without a slash at the end."""
        return self.alertmanager_url or f"http://127.0.0.1:{self.alertmanager_port}"

    @property
    def prometheus(self) -> str:
        """Prometheus' address without a slash at the end."""
        return self.prometheus_url or f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def fleet_agent(self) -> str:
        """The address of the agent that sends to the fleet's centre, without a slash at the end."""
        return self.fleet_agent_url or f"http://127.0.0.1:{self.fleet_agent_port}"


def _reachable_address(address: str) -> str:
    """The address itself; for what listens on all of them, that of loopback."""
    return address.replace("://0.0.0.0", "://127.0.0.1", 1)


# Read by other parts of the product; known here so that a misspelt name stands out.
OTHER_VARIABLES = (
    frozenset(
        {
            "VV_CONFIG",
            "VV_HMAC_KEYS_DIR",
            "VV_HMAC_KEY_FILE",
            "VV_MAX_ATTEMPTS",
            "VV_REQUIRE_ALL",
        }
    )
    | {variable.name for variable in compose.VARIABLES}
    | compose.OF_THE_CENTRE
)
STAGE_LIMITS = {
    "scan_video": "max_scan_video",
    "summarize_scene": "max_summarize",
    "logline_generator": "max_logline",
}


def variables() -> dict[str, Variable]:
    """Every variable by the name of its field in `Settings`."""
    return {item.name: item.metadata["variable"] for item in fields(Settings) if "variable" in item.metadata}
