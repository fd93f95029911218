"""Cron jobs and heartbeats."""

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import Column, Query, events, limit, lines, stat, states, table
from vv_dashboards.variables import several

RUNNING = {1: ("running", colours.NEUTRAL), 0: ("not running", colours.QUIET)}


def board() -> Board:
    """The dashboard."""
    return Board(
        name="jobs",
        title="VV · Jobs",
        answers="Which cron job did not run, failed, or runs too long?",
        variables=(several("job", "Job", "vv_job_runs_total"),),
        rows=(_now(), _time(), _details()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Late",
                """Jobs that neither started nor succeeded by their due time and grace. A job that does not run leaves
                no error anywhere: see whether cron runs, and whether the job is in its table.""",
                """
                sum(
                  (
                    time() - (vv_job_next_due_timestamp_seconds{device="$device",job=~"$job"} != 0)
                    - vv_job_grace_seconds{device="$device",job=~"$job"}
                  ) > bool 0
                )
                """,
                steps=colours.bad_from(1),
                none="no schedules",
                size=(6, 4),
            ),
            stat(
                "Failed and crashed runs",
                "Within the time range. The output's last lines are in `vv timeline`.",
                'sum(increase(vv_job_runs_total{device="$device",job=~"$job",result!="success"}[$__range]))',
                steps=colours.bad_from(0.5),
                size=(6, 4),
            ),
            stat(
                "Running",
                "Runs in progress. One of a job that should long have ended: `vv status` tells since when.",
                'sum(vv_job_running{device="$device",job=~"$job"})',
                size=(6, 4),
            ),
            stat(
                "Skipped",
                """Runs, within the time range, that were not begun because another one was in progress: the job takes
                longer than the time between two of them.""",
                'sum(increase(vv_job_runs_skipped_total{device="$device",job=~"$job"}[$__range]))',
                steps=colours.bad_from(0.5, colours.WARNING),
                size=(6, 4),
            ),
            table(
                "Each job",
                """What is known of each. *Due in* negative: late, alerted after the grace. An exit code other than 0,
                or a last success long ago: run it by hand, `vv cron --job JOB -- COMMAND`.""",
                {"job": "Job"},
                Column(
                    "Due in",
                    """
                    max by (job) ((vv_job_next_due_timestamp_seconds{device="$device",job=~"$job"} != 0)) - time()
                    """,
                    unit="s",
                    steps=colours.bad_below(0, colours.WARNING),
                ),
                Column(
                    "Last success",
                    'time() - max by (job) (vv_job_last_success_timestamp_seconds{device="$device",job=~"$job"} > 0)',
                    unit="s",
                ),
                Column(
                    "Last exit code",
                    'max by (job) (vv_job_last_exit_code{device="$device",job=~"$job"})',
                    unit="none",
                    steps=colours.bad_from(1),
                ),
                Column(
                    "Last duration",
                    'max by (job) (vv_job_last_duration_seconds{device="$device",job=~"$job"})',
                    unit="s",
                ),
                Column(
                    "Runs in the range",
                    'sum by (job) (increase(vv_job_runs_total{device="$device",job=~"$job"}[$__range]))',
                    decimals=0,
                ),
                Column(
                    "Failed",
                    """
                    sum by (job) (increase(vv_job_runs_total{device="$device",job=~"$job",result!="success"}[$__range]))
                    """,
                    decimals=0,
                    steps=colours.bad_from(0.5),
                ),
                sort="Failed",
            ),
        ),
    )


def _time() -> Row:
    return Row(
        "Over time",
        (
            events(
                "Runs by result",
                """*failure*: it ended with an exit code or exception; *crashed*: it was killed, or the machine
                stopped. One failed run of many may heal itself; each one in a row does not.""",
                Query(
                    """
                    sum by (result) (increase(vv_job_runs_total{device="$device",job=~"$job"}[$__rate_interval]))
                    """,
                    "{{result}}",
                ),
                coloured={"success": colours.GOOD, "failure": colours.WARNING, "crashed": colours.BAD},
                alerts=("JobFailed", "JobCrashed"),
            ),
            lines(
                "Late by",
                """Time beyond due time and grace. Above 0 the job is missed: see `systemctl status cron`, the table of
                cron, and schedule and time zone in `vv.yml`.""",
                Query(
                    """
                    clamp_min(max by (job) (
                      time() - (vv_job_next_due_timestamp_seconds{device="$device",job=~"$job"} != 0)
                      - vv_job_grace_seconds{device="$device",job=~"$job"}
                    ), 0)
                    """,
                    "{{job}}",
                ),
                unit="s",
                alerts=("JobMissed",),
            ),
            lines(
                "Running for",
                """How long the oldest run in progress has taken, against its `max_runtime`. Beyond it: it hangs, or
                has more to do than ever; read its output before ending it.""",
                Query(
                    'time() - min by (job) (vv_job_oldest_start_timestamp_seconds{device="$device",job=~"$job"})',
                    "{{job}}",
                ),
                limit('max by (job) (vv_threshold_job_seconds{device="$device",job=~"$job"})', "{{job}} limit"),
                unit="s",
                alerts=("JobRunningTooLong",),
            ),
            lines(
                "Duration of the last run",
                """A job that gets slower will one day overlap with its next run. Suddenly shorter is suspicious, too:
                it may have found nothing to do.""",
                Query('max by (job) (vv_job_last_duration_seconds{device="$device",job=~"$job"})', "{{job}}"),
                unit="s",
            ),
        ),
    )


def _details() -> Row:
    return Row(
        "In detail",
        (
            states(
                "In progress",
                """When which job ran. Two that always run together slow each other down: move one.""",
                Query('max by (job) (vv_job_running{device="$device",job=~"$job"} > bool 0)', "{{job}}"),
                words=RUNNING,
            ),
            events(
                "Failed runs by job",
                """Which jobs fail, and how. All at once: the disk is full, or what they have in common is gone.""",
                Query(
                    """
                    sum by (job, result) (
                      increase(vv_job_runs_total{device="$device",job=~"$job",result!="success"}[$__rate_interval])
                    )
                    """,
                    "{{job}} {{result}}",
                ),
            ),
        ),
        collapsed=True,
    )
