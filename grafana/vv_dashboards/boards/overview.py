"""All devices in one table, and the chosen one at a glance."""

from grafana_foundation_sdk.models.dashboard import DashboardLink, DashboardLinkType, Panel

from vv_dashboards import colours
from vv_dashboards.board import Board, Row, uid
from vv_dashboards.panels import UP_DOWN, Column, Query, events, lines, stat, states, table

DEVICE = "var-device=${__value.text:percentencode}&var-datasource=${datasource:percentencode}&${__url_time_range}"
SEVERITIES = {"critical": colours.BAD, "error": colours.WARNING, "warning": "#F0E442", "info": colours.NEUTRAL}


def board() -> Board:
    """The dashboard."""
    return Board(
        name="overview",
        title="VV · Overview",
        answers=(
            "Which device needs somebody, and for what? All devices, then the chosen one; from there to the details."
        ),
        rows=(_fleet(), _device(), _time()),
    )


def _fleet() -> Row:
    return Row(
        "Fleet",
        (
            table(
                "Devices",
                """All devices, those with the most urgent alerts first. A click on a name shows that device below.
                *Exporter* DOWN: nothing of the device is watched, whatever the other columns say.""",
                {"device": "Device"},
                Column("Exporter", 'min by (device) (up{job="vv-exporter"})', unit="none", words=UP_DOWN),
                _firing("Critical", "critical", colours.BAD),
                _firing("Error", "error", colours.WARNING),
                _firing("Warning", "warning", "#F0E442"),
                Column(
                    "Disk free",
                    "min by (device) (path:vv_filesystem_free:ratio)",
                    unit="percentunit",
                    decimals=0,
                    steps=colours.falling(0.1, 0.2),
                ),
                Column(
                    "Videos waiting",
                    "sum by (device) (vv_backlog_videos)",
                ),
                Column(
                    "Last success",
                    "time() - max by (device) (vv_stage_last_success_timestamp_seconds > 0)",
                    unit="s",
                ),
                Column(
                    "Failed runs",
                    'sum by (device) (increase(vv_stage_duration_seconds_count{outcome!="success"}[$__range]))',
                    decimals=0,
                    steps=colours.bad_from(0.5, colours.WARNING),
                ),
                Column(
                    "Containers down",
                    "sum by (device) (vv_container_expected == 1 and on (device, name) vv_container_running == 0)"
                    " or 0 * max by (device) (vv_docker_up)",
                    steps=colours.bad_from(1),
                ),
                Column(
                    "Streams down",
                    "sum by (device) (vv_dvr_up == bool 0)",
                    steps=colours.bad_from(1),
                ),
                sort="Critical",
                links={"Device": ("Show this device", f"/d/{uid('overview')}?{DEVICE}")},
            ),
        ),
    )


def _firing(title: str, severity: str, colour: str) -> Column:
    return Column(
        title,
        f"""
        count by (device) (ALERTS{{alertstate="firing",severity="{severity}"}})
        or 0 * max by (device) (up{{job="vv-exporter"}})
        """,
        steps=colours.bad_from(1, colour),
    )


def _device() -> Row:
    return Row(
        "Device $device",
        (
            _linked(
                "alerts",
                stat(
                    "Firing alerts",
                    """Critical ones and errors; warnings can wait. Which ones, and what to do: the dashboard of
                    alerts, by the link of this panel.""",
                    """
                    count(ALERTS{device="$device",alertstate="firing",severity=~"critical|error"})
                    or 0 * max(up{device="$device",job="vv-exporter"})
                    """,
                    steps=colours.bad_from(1),
                ),
            ),
            _linked(
                "pipeline",
                stat(
                    "Failed or crashed stage runs",
                    """Within the time range. Red: the dashboard of the pipeline has the latest failures, with video
                    and error.""",
                    'sum(increase(vv_stage_duration_seconds_count{device="$device",outcome!="success"}[$__range]))',
                    none="no stages",
                    steps=colours.bad_from(0.5),
                ),
            ),
            _linked(
                "containers",
                stat(
                    "Containers that are down",
                    """Of those that should run. Red: the dashboard of containers tells which, and what was done about
                    it.""",
                    """
                    count(
                      vv_container_expected{device="$device"} == 1
                      and on (device, name) vv_container_running{device="$device"} == 0
                    )
                    or 0 * max(vv_docker_up{device="$device"})
                    """,
                    none="no Docker",
                    steps=colours.bad_from(1),
                ),
            ),
            _linked(
                "dvr",
                stat(
                    "DVR streams that are down",
                    """By agent and probe. Red: what the cameras see is not being recorded; the dashboard of DVRs tells
                    why.""",
                    'sum(vv_dvr_up{device="$device"} == bool 0)',
                    none="no DVR",
                    steps=colours.bad_from(1),
                ),
            ),
            _linked(
                "jobs",
                stat(
                    "Jobs that failed or are late",
                    "Last run failed, or not come by due time and grace. Red: the dashboard of jobs tells which.",
                    """
                    count(
                      max by (job) (vv_job_last_exit_code{device="$device"}) != 0
                      or max by (job) (
                        time() - (vv_job_next_due_timestamp_seconds{device="$device"} != 0)
                        - vv_job_grace_seconds{device="$device"}
                      ) > 0
                    )
                    or 0 * count(vv_job_running{device="$device"})
                    """,
                    none="no jobs",
                    steps=colours.bad_from(1),
                ),
            ),
            _linked(
                "host",
                stat(
                    "Disk space, least",
                    """The share that is free on the fullest file system. Red: recording stops when it is full; the
                    dashboard of storage tells how long it lasts.""",
                    'min(path:vv_filesystem_free:ratio{device="$device"})',
                    unit="percentunit",
                    steps=colours.falling(0.1, 0.2),
                ),
            ),
        ),
    )


def _linked(name: str, panel: Panel) -> Panel:
    """With a link to the dashboard that has the details."""
    url = f"/d/{uid(name)}?${{device:queryparam}}&${{datasource:queryparam}}&${{__url_time_range}}"
    details = DashboardLink(title=f"Details: {name}", type_val=DashboardLinkType.LINK, url=url)
    panel.links = [*(panel.links or []), details]
    return panel


def _time() -> Row:
    return Row(
        "Over time",
        (
            lines(
                "Alerts firing at once",
                """By severity. Many that begin together have one cause; the region on the other panels shows from when
                to when.""",
                Query(
                    'count by (severity) (ALERTS{device="$device",alertstate="firing",severity!="none"})',
                    "{{severity}}",
                ),
                unit="short",
                coloured=SEVERITIES,
                size=(8, 8),
            ),
            events(
                "Stage runs by outcome",
                """Whether videos are processed. Gaps while videos wait, or more orange and red than green: go to the
                dashboard of the pipeline.""",
                Query(
                    'sum by (outcome) (increase(vv_stage_duration_seconds_count{device="$device"}[$__rate_interval]))',
                    "{{outcome}}",
                ),
                coloured={"success": colours.GOOD, "failure": colours.WARNING, "crashed": colours.BAD},
                size=(8, 8),
            ),
            lines(
                "Videos waiting, and put aside",
                """Waiting videos come and go. A floor that rises: the device does not keep up. Files in `corrupted/`
                stay until somebody decides about them.""",
                Query('sum(vv_backlog_videos{device="$device"})', "waiting"),
                Query('sum(vv_quarantine_files{device="$device"})', "in corrupted/"),
                unit="short",
                size=(8, 8),
            ),
            states(
                "DVR streams",
                """Whether video arrives, as agent and probe see it. DOWN on both: the DVR or its network; only the
                agent: the agent.""",
                Query('min by (dvr, source) (vv_dvr_up{device="$device"})', "{{dvr}} · {{source}}"),
                words=UP_DOWN,
                size=(8, 8),
            ),
            states(
                "Containers running",
                """Those that should run. DOWN: the dashboard of containers tells how it ended, and whether it was
                given up.""",
                Query('min by (name) (vv_container_running{device="$device"})', "{{name}}"),
                words=UP_DOWN,
                size=(8, 8),
            ),
            lines(
                "Processor, memory, disk in use",
                """Shares of what the machine has. The disk only ever rising: the clean-up job does not run, or too
                much is recorded.""",
                Query(
                    """
                    1 - sum(rate(vv_host_cpu_seconds_total{device="$device",mode=~"idle|iowait"}[$__rate_interval]))
                    / sum(rate(vv_host_cpu_seconds_total{device="$device"}[$__rate_interval]))
                    """,
                    "processor",
                ),
                Query(
                    """
                    1 - max(vv_host_memory_available_bytes{device="$device"})
                    / max(vv_host_memory_total_bytes{device="$device"})
                    """,
                    "memory",
                ),
                Query('1 - min(path:vv_filesystem_free:ratio{device="$device"})', "fullest disk"),
                unit="percentunit",
                most=1,
                size=(8, 8),
            ),
        ),
    )
