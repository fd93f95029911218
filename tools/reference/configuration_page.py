"""docs/configuration.md and .env.example, from the catalogue of settings."""

from __future__ import annotations

from collections.abc import Iterable

from vv_exporter.channels import REACHED, Kind, all_channels
from vv_exporter.settings import Variable, compose, variables

_COLUMNS = "| variable | default | meaning |\n|---|---|---|\n"
MACHINE = "(the machine's own)"

_HEAD = """\
# Configuration

[Português](pt-BR/configuration.md)

<!-- Written by `python -m tools.reference`; change exporter/vv_exporter/settings/catalogue.py instead. -->

Everything can be set in the environment or, under the same name, below `settings:` in `vv.yml` (the file that
`VV_CONFIG` names, `/etc/vv/vv.yml` by default); the environment wins. A duration is `90`, `90s`, `15m`, `2h` or `1d`.

`vv config check` says what is wrong, a line for each problem, and which channels are on. `vv config render --out DIR`
writes what Prometheus and Alertmanager run with, into a folder of its own, in which it replaces and
removes what is there: a folder with files of others is refused.

## Variables

A secret marked with * is better given as `NAME_FILE`, the path of a file that holds it and that only the owner can
read: a variable shows in the process's environment.

"""

_TAIL = """
## `vv.yml`

```yaml
settings:                  # any variable of the table
  VV_DEVICE_ID: edge-device-001
  SLACK_WEBHOOK_URL_FILE: /etc/vv/secrets/slack
  VIDEO_STORAGE_ROOT: /srv/videos
stages:                    # how long a run may take before it is overdue
  scan_video: {limit: 15m}
  summarize_scene:         # added up: for every run, for each minute of video, for each 10^9 bytes of it
    {limit: 1m, limit_per_minute: 30s, limit_per_gb: 2m}
jobs:                      # when they are due (cron expression), and how late they may be
  cleanup_old_files: {schedule: "0 3 * * *", timezone: Europe/Lisbon, grace: 10m, max_runtime: 1h}
  backup:                  # touches this file when it has succeeded
    {schedule: "30 4 * * 1-5", heartbeat_file: /var/lib/backup/done}
dvrs:                      # which streams are probed
  front:
    url: rtsp://192.168.1.10/Streaming/Channels/101
    username: monitor
    password_file: /etc/vv/secrets/front
    interval: 30s
    timeout: 10s
footage:                   # cameras whose recordings are watched by the names of their files (docs/footage.md)
  front:
    files: "{dvr}/{start:%Y-%m-%d}/{start:%H%M%S}.mp4"  # below VIDEO_STORAGE_ROOT
    length: 60s            # of a file
    expected: always       # or the minutes in which there should be footage: "* 8-17 * * 1-5"
    timezone: Europe/Lisbon  # of both
    essential: true        # FootageMissing is critical
    retention: 30d         # RetentionShort when the files will not reach back so far
    signed_within: 6h      # FootageUnsigned when a recording is not signed by then
    dvr_keeps: 7d          # how long the DVR has recordings of its own, which can be fetched
containers:
  essential: [agent_dvr]   # critical when down
  expected: [scene_scanner]  # must run
  ignore: [scratch]        # not looked at
self_monitor:              # what `vv self-monitor` may restart
  containers: [agent_dvr]  # by name
  projects: [vv]           # all of a compose project
  processes: {agent_dvr: agent}  # a program that must run in it
```

Where the clock of a job's time zone is set, jobs are due when Debian's cron would run them: what falls into the hour
that is left out comes right after it, what falls into the hour that comes twice comes the first time, and what has a
`*` for its minute or hour follows the clock. A heartbeat file is looked at every 2 seconds; each new time of change
is a success.

## Channels

A channel without its variables is absent. With none of them alerts are in `app.log` and on the status page.

"""
_AFTER_ROUTES = """
With `VV_QUIET_HOURS` warnings are not sent to chat at these times: those that still fire afterwards are sent then, and
e-mail gets all of them. Nobody is told in chat of the end of one that ends meanwhile.

Everything also goes to `app.log` and the generic webhook, DVR alerts are repeated every 30 minutes, and the Watchdog
goes to `DEADMAN_URL` alone, each minute. `alertmanager/alertmanager.yml` is the routing itself, made to be read.

`WEBHOOK_URL` gets each alert as a small JSON object, delivered by the exporter: [webhook.md](webhook.md).
`ALERTMANAGER_WEBHOOK_URL` gets Alertmanager's own JSON (version 4), texts untouched. Opsgenie's API ends in April 2027.
"""


_AGAIN = {
    "critical": "every hour",
    "error": "every 4 hours",
    "warning": "every 12 hours",
}
_COLLECTED = {"warning": "; collected for 30 seconds first"}


def _routes() -> str:
    """A table: which channels an alert of a severity goes to."""
    rows = [
        f"| {severity} | {_channels_of(kinds)}{_COLLECTED.get(severity, '')} | {_AGAIN[severity]} |"
        for severity, kinds in REACHED.items()
    ]
    return "\n".join(["| severity | goes to | again |", "|---|---|---|", *rows, "| info | `app.log` | |", ""])


def _channels_of(kinds: Iterable[Kind]) -> str:
    """The channels of these kinds; webhooks get everything, and stand below the table."""
    titles = ([one.title for one in all_channels() if one.kind == kind] for kind in kinds if kind != "webhook")
    return ", ".join(" and ".join(names) for names in titles)


def page() -> str:
    """docs/configuration.md."""
    rows = "\n".join(_row(variable) for variable in variables().values())
    of_compose = "\n".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"
        for name, default, meaning in compose.VARIABLES
    )
    return (
        f"{_HEAD}{_COLUMNS}{rows}\n\nOnly `docker-compose.yml` reads these, from `.env` "
        f"([deployment.md](deployment.md)):\n\n{_COLUMNS}{of_compose}\n{_TAIL}{_routes()}{_AFTER_ROUTES}"
    )


def example() -> str:
    """.env.example: every variable, commented out, with its default."""
    lines = ["# Every variable; docs/configuration.md has them as a table. Copy to .env and fill in what you need.", ""]
    for variable in variables().values():
        default = _default(variable)
        lines.append(f"# {variable.meaning}")
        if variable.secret:
            lines.append(f"#{variable.name}_FILE=/etc/vv/secrets/{variable.name.lower()}")
        else:
            lines.append(f"#{variable.name}={'' if default == MACHINE else default}")
        lines.append("")
    lines += ["# What follows only docker-compose.yml reads, for `docker compose up -d`.", ""]
    for name, default, meaning in compose.VARIABLES:
        lines += [f"# {meaning}", f"#{name}={default}", ""]
    return "\n".join(lines)


def _row(variable: Variable) -> str:
    default = _default(variable)
    shown = f"`{default}`" if default not in ("", MACHINE) else default
    meaning = variable.meaning.replace("|", r"\|")
    return f"| `{variable.name}`{' *' if variable.secret else ''} | {shown} | {meaning} |"


def _default(variable: Variable) -> str:
    return variable.default if isinstance(variable.default, str) else MACHINE
