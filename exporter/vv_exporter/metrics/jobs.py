"""Cron jobs and heartbeats."""

from vv_exporter.metrics import counter, gauge

JOB_LAST_START = gauge("vv_job_last_start_timestamp_seconds", "When the job last started.", "job")
JOB_LAST_SUCCESS = gauge("vv_job_last_success_timestamp_seconds", "When the job last succeeded.", "job")
JOB_LAST_COMPLETION = gauge(
    "vv_job_last_completion_timestamp_seconds", "When the job last ended, with whatever result.", "job"
)
JOB_LAST_DURATION = gauge("vv_job_last_duration_seconds", "How long the job's last run took.", "job")
JOB_LAST_EXIT_CODE = gauge("vv_job_last_exit_code", "Exit code of the job's last run.", "job")
JOB_RUNS = counter("vv_job_runs_total", "Ended runs by result: success, failure, crashed.", "job", "result")
JOB_EXIT_CODE_RECENT = gauge(
    "vv_job_exit_code_recent", "Exit code of the job's last run, of those that failed within the last minute.", "name"
)
JOB_SKIPPED = counter(
    "vv_job_runs_skipped_total", "Runs that were not begun because another one was in progress.", "job"
)
JOB_RUNS_RECENT = gauge(
    "vv_job_runs_recent",
    "Runs that ended within the last minute, by result: failure, crashed; no series where there was none.",
    "name",  # two jobs of Prometheus ask for it, and `job` is theirs
    "result",
)
JOB_RUNNING = gauge("vv_job_running", "Runs in progress.", "job")
JOB_OVERDUE_START = gauge(
    "vv_job_overdue_start_timestamp_seconds",
    "When a run that is past its limit started, of the three longest of a job; pid is one in the container, on the "
    "machine without one.",
    "job",
    "component",
    "pid",
    "container",
)
JOB_OLDEST_START = gauge("vv_job_oldest_start_timestamp_seconds", "When the oldest run in progress started.", "job")
JOB_NEXT_DUE = gauge(
    "vv_job_next_due_timestamp_seconds",
    "When the job is due: the first time of its schedule after its last success or start; in the past when missed.",
    "job",
)
JOB_GRACE = gauge("vv_job_grace_seconds", "How long after its due time the job may come.", "job")
