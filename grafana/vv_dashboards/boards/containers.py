"""Containers, what the self-monitor does with them, and the Docker Engine."""

from inspect import cleandoc

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import UP_DOWN, YES_NO, Column, Query, events, limit, lines, stat, states, table
from vv_dashboards.variables import several

HEALTH = {
    0: ("healthy", colours.GOOD),
    1: ("starting", colours.NEUTRAL),
    2: ("UNHEALTHY", colours.BAD),
    3: ("PAUSED", colours.WARNING),
}


def board() -> Board:
    """The dashboard."""
    return Board(
        name="containers",
        title="VV · Containers",
        answers="Which containers are down, unhealthy or restarting, why, and what does the self-monitor do about it?",
        variables=(several("name", "Container", "vv_container_expected"),),
        rows=(_now(), _state(), _restarts(), _use(), _details()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Down",
                """Containers that should run and do not. See their last words: `docker logs --tail 50 NAME`, then
                `docker start NAME` or `docker compose up -d`.""",
                """
                count(name:vv_container:down{device="$device",name=~"$name"})
                or 0 * max(vv_docker_up{device="$device"})
                """,
                none="no Docker",
                steps=colours.bad_from(1),
                alerts=("ContainerDown",),
            ),
            stat(
                "Unhealthy",
                """Containers that run while their health check fails. Its output: `docker inspect --format '{{json
                .State.Health}}' NAME`.""",
                """
                count(vv_container_health{device="$device",name=~"$name",status="unhealthy"} == 1)
                or 0 * max(vv_docker_up{device="$device"})
                """,
                none="no Docker",
                steps=colours.bad_from(1),
            ),
            stat(
                "Given up",
                """Containers that the self-monitor restarted as often as it may; nothing restarts them
                any more. Put the cause right, then `vv containers resume NAME`.""",
                'sum(vv_self_monitor_gave_up{device="$device",name=~"$name"})',
                steps=colours.bad_from(1),
            ),
            stat(
                "Restarts, all causes",
                """Within the time range, whoever caused them. More than a few a day: something ends the container
                again and again; see the causes below.""",
                'sum(increase(vv_container_restarts_total{device="$device",name=~"$name"}[$__range]))',
                steps=colours.rising(1, 5),
            ),
            stat(
                "Docker Engine",
                """Whether the Engine answers the exporter. DOWN: containers may still run, but nobody watches or
                restarts them; `systemctl status docker`.""",
                'max(vv_docker_up{device="$device"})',
                unit="none",
                words=UP_DOWN,
            ),
            stat(
                "Self-monitor's last look",
                """It looks every few seconds. Minutes: it hangs or does not run, and what fails now stays down; `vv
                containers list`.""",
                'time() - max(vv_self_monitor_last_check_timestamp_seconds{device="$device"})',
                unit="s",
                none="not in use",
                steps=colours.rising(60, 120),
            ),
        ),
    )


def _state() -> Row:
    return Row(
        "State",
        (
            states(
                "Running",
                """Whether each container that should run does; one that is gone counts as down. DOWN for ten
                seconds is alerted, or less: read its last output, and start it again.""",
                Query('min by (name) (vv_container_running{device="$device",name=~"$name"})', "{{name}}"),
                words=UP_DOWN,
            ),
            states(
                "Health",
                """What Docker's health check says, only while the container runs. UNHEALTHY: the process lives and
                does not do its work. Read the check's output; the self-monitor restarts it where it may. *paused*: it
                stands still, after a backup perhaps: `docker unpause`.""",
                Query(
                    """
                    max by (name) (
                      3 * (vv_container_state{device="$device",name=~"$name",state="paused"} == 1)
                      or 2 * (vv_container_health{device="$device",name=~"$name",status="unhealthy"} == 1)
                      or (vv_container_health{device="$device",name=~"$name",status="starting"} == 1)
                      or 0 * (vv_container_health{device="$device",name=~"$name",status="healthy"} == 1)
                    )
                    """,
                    "{{name}}",
                ),
                words=HEALTH,
                alerts=("ContainerUnhealthy", "ContainerPaused"),
            ),
        ),
    )


def _restarts() -> Row:
    return Row(
        "Restarts",
        (
            events(
                "Restarts by cause",
                """*policy*: Docker's restart policy; *self_monitor*: ours; *manual*: somebody, or a deployment;
                *daemon*: the Engine was restarted. By policy again and again: the program ends at its start; read what
                it says.""",
                Query(
                    """
                    sum by (cause) (
                      increase(vv_container_restarts_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{cause}}",
                ),
                coloured={
                    "policy": colours.WARNING,
                    "self_monitor": colours.BAD,
                    "manual": colours.NEUTRAL,
                    "daemon": colours.OTHER,
                },
                alerts=("ContainerRestarting",),
            ),
            lines(
                "Restart budget",
                """Restarts within SELF_MONITOR_WINDOW, by container. At the dashed line the budget is used up: the
                next failure is the last, the container is given up. Resume it with `vv containers resume NAME`.""",
                Query('max by (name) (vv_self_monitor_restarts_in_window{device="$device",name=~"$name"})', "{{name}}"),
                limit('min(vv_self_monitor_max_restarts{device="$device",name=~"$name"})', "budget"),
                unit="short",
            ),
            events(
                "Exits by reason",
                """*ok*: exit code 0; *error*: another code; *signal*: it was killed; *oom*: OOM-killed. The
                last exit code of each container is in the table below.""",
                Query(
                    """
                    sum by (reason) (
                      increase(vv_container_exits_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{reason}}",
                ),
                coloured={
                    "^ok": colours.GOOD,
                    "error": colours.WARNING,
                    "signal": colours.NEUTRAL,
                    "oom": colours.BAD,
                },
                size=(8, 8),
            ),
            events(
                "OOM-killed",
                """Each is a death by the kernel, because the container reached its limit or the machine had no memory
                left. Compare with its memory below: give it more, or less to do.""",
                Query(
                    """
                    sum by (name) (
                      increase(vv_container_oom_kills_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}}",
                ),
                alerts=("ContainerOomKilled",),
                size=(8, 8),
            ),
            states(
                "Given up by the self-monitor",
                """*yes* until an operator resumes it or it is recreated: nobody restarts it meanwhile. Read its
                last output, put the cause right, then `vv containers resume NAME`.""",
                Query('max by (name) (vv_self_monitor_gave_up{device="$device",name=~"$name"})', "{{name}}"),
                words=YES_NO,
                alerts=("ContainerFailedPersistently",),
                size=(8, 8),
            ),
            table(
                "Each container",
                """What is known of each. *Budget left* 0: the next failure is the last. An exit code over 128 is a
                signal: 137 was killed, 143 was asked to stop.""",
                {"name": "Container", "image": "Image", "essential": "Essential"},
                Column("Running", _of_each("vv_container_running"), unit="none", words=UP_DOWN),
                Column("Up for", f"time() - {_of_each('vv_container_start_time_seconds')}", unit="s"),
                Column(
                    "Restarts in the range",
                    _of_each("increase(vv_container_restarts_total[$__range])", "sum"),
                    decimals=0,
                    steps=colours.rising(1, 5),
                ),
                Column(
                    "Budget left",
                    f"{_of_each('vv_self_monitor_max_restarts')} - {_of_each('vv_self_monitor_restarts_in_window')}",
                    steps=colours.falling(1, 2),
                ),
                Column("Given up", _of_each("vv_self_monitor_gave_up"), unit="none", words=YES_NO),
                Column(
                    "Last exit code",
                    _of_each("vv_container_last_exit_code"),
                    unit="none",
                    steps=colours.bad_from(1, colours.WARNING),
                ),
                sort="Restarts in the range",
            ),
        ),
    )


def _use() -> Row:
    return Row(
        "Processor and memory",
        (
            lines(
                "Processor, share of what it may use",
                """Of its limit, or of all cores without one. Above the dashed line for a quarter of an hour it is
                alerted: see what it works on, and whether its stage is overdue.""",
                Query('name:vv_container_cpu:ratio5m{device="$device",name=~"$name"}', "{{name}}"),
                limit('max(vv_threshold_cpu_ratio{device="$device",scope="container"})', "too high"),
                unit="percentunit",
                alerts=("ContainerHighCpu",),
            ),
            lines(
                "Memory, share of what it may use",
                """Of its limit, or of all memory without one. When it is used up the kernel kills it: give it more, or
                less to do. A line that only rises is a leak.""",
                Query('name:vv_container_memory:ratio{device="$device",name=~"$name"}', "{{name}}"),
                limit('max(vv_threshold_memory_ratio{device="$device",scope="container"})', "too high"),
                unit="percentunit",
                alerts=("ContainerHighMemory",),
            ),
        ),
    )


def _of_each(series: str, how: str = "max") -> str:
    """A container's value, with what is known of it."""
    return cleandoc(f"""
        max by (name, image, essential) (
          vv_container_info{{device="$device",name=~"$name"}}
          * on (device, name) group_left () {how} by (device, name) ({series})
        )
    """)


def _details() -> Row:
    return Row(
        "In detail",
        (
            states(
                "Docker Engine over time",
                """Whether it answered the exporter, and whether it answered all that it was asked. Gaps of `events`
                alone lose nothing: what was missed is found by comparing.""",
                Query('max(vv_docker_up{device="$device"})', "Engine"),
                Query('min by (request) (vv_docker_request_success{device="$device"})', "{{request}}"),
                words=UP_DOWN,
                alerts=("DockerUnreachable", "DockerPartlyUnresponsive"),
            ),
            lines(
                "Age of the self-monitor's last look",
                """Should be seconds. Beyond two minutes nothing restarts what fails: see whether `vv self-monitor`
                runs, and what it wrote to `app.log`.""",
                Query('time() - max(vv_self_monitor_last_check_timestamp_seconds{device="$device"})', "age"),
                unit="s",
                alerts=("SelfMonitorStalled", "SelfMonitorMissing"),
            ),
            events(
                "Restarts by the self-monitor",
                "What it did, by result. *failed*: Docker refused to restart the container; `app.log` has the reason.",
                Query(
                    """
                    sum by (name, result) (
                      increase(vv_self_monitor_restarts_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}} {{result}}",
                ),
            ),
            lines(
                "Failed health checks in a row",
                """Docker calls a container unhealthy after as many as its check allows. A line that rises and falls
                again: the check's time limit is too short for a busy machine.""",
                Query('max by (name) (vv_container_health_failing_streak{device="$device",name=~"$name"})', "{{name}}"),
                unit="short",
            ),
            lines(
                "Processor, cores",
                """How many cores each keeps busy, and its limit where it has one: there it is slowed down.""",
                Query(
                    """
                    sum by (name) (
                      rate(vv_container_cpu_seconds_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}}",
                ),
                limit('max by (name) (vv_container_cpu_limit_cores{device="$device",name=~"$name"})', "{{name}} limit"),
                unit="short",
            ),
            lines(
                "Memory, bytes",
                """What cannot be taken back without killing it (working set), and its limit where it has one. Compare
                with what the machine has.""",
                Query(
                    'max by (name) (vv_container_memory_working_set_bytes{device="$device",name=~"$name"})', "{{name}}"
                ),
                limit(
                    'max by (name) (vv_container_memory_limit_bytes{device="$device",name=~"$name"})',
                    "{{name}} limit",
                ),
                unit="bytes",
            ),
            lines(
                "Network of containers",
                """Received above, sent below zero. `agent_dvr` should receive about what its cameras send; nothing at
                all means no stream.""",
                Query(
                    """
                    sum by (name) (
                      rate(vv_container_network_receive_bytes_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}} received",
                ),
                Query(
                    """
                    -sum by (name) (
                      rate(vv_container_network_transmit_bytes_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}} sent",
                ),
                unit="Bps",
            ),
            lines(
                "Disk of containers",
                """Read above, written below zero. Who writes most while the disk fills up is seen here.""",
                Query(
                    """
                    sum by (name) (
                      rate(vv_container_blkio_read_bytes_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}} read",
                ),
                Query(
                    """
                    -sum by (name) (
                      rate(vv_container_blkio_write_bytes_total{device="$device",name=~"$name"}[$__rate_interval])
                    )
                    """,
                    "{{name}} written",
                ),
                unit="Bps",
            ),
            lines(
                "Processes in containers",
                """A number that only grows is a leak: children that nobody waits for. Restart the container, and tell
                its developers.""",
                Query('max by (name) (vv_container_pids{device="$device",name=~"$name"})', "{{name}}"),
                unit="short",
                size=(24, 7),
            ),
        ),
        collapsed=True,
    )
