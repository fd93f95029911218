"""Cron jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.common.clock import span
from vv_exporter.language import gettext as _
from vv_exporter.metrics.jobs import (
    JOB_GRACE,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_LAST_SUCCESS,
    JOB_NEXT_DUE,
    JOB_RUNNING,
    JOB_RUNS,
)
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Table, clock, when


class Job(msgspec.Struct, frozen=True):
    """A job. `late` is by how many seconds it is past its due time and its grace, 0 when it is not."""

    name: str
    running: int
    last_success: float | None
    next_due: float | None
    late: float
    failed: int
    last_exit_code: int | None = None
    last_seconds: float | None = None


def read(series: Series, now: float) -> Iterator[Job]:
    """All jobs."""
    for name in series.names("job", JOB_RUNNING):
        due, grace = series.one(JOB_NEXT_DUE, job=name), series.one(JOB_GRACE, job=name)
        code = series.one(JOB_LAST_EXIT_CODE, job=name)
        yield Job(
            name=name,
            running=series.sum(JOB_RUNNING, job=name),
            last_success=series.one(JOB_LAST_SUCCESS, job=name),
            next_due=due,
            late=0.0 if due is None else max(now - due - (grace or 0.0), 0.0),
            failed=series.sum(JOB_RUNS, job=name, result="failure") + series.sum(JOB_RUNS, job=name, result="crashed"),
            last_exit_code=None if code is None else int(code),
            last_seconds=series.one(JOB_LAST_DURATION, job=name),
        )


def troubles(jobs: Sequence[Job]) -> Iterator[str]:
    """What is wrong with jobs."""
    yield from (_("job {name} did not run on time").format(name=job.name) for job in jobs if job.late)


def table(jobs: Sequence[Job], now: float) -> Table:
    """For people; those that are late or failed first."""
    ordered = sorted(jobs, key=lambda job: (not job.late, not job.last_exit_code, job.name))
    columns = (_("Job"), _("Due"), _("Last success"), _("Last run"), _("Failures"))
    return Table("jobs", _("Jobs"), columns, [_job_row(job, now) for job in ordered])


def _job_row(job: Job, now: float) -> tuple[Cell, ...]:
    if job.next_due is None:
        due = Cell(_("no schedule"), "muted")
    elif job.late:
        due = Cell(
            _("{time} late").format(time=span(job.late)),
            "bad",
            note=_("was due {time}").format(time=clock(job.next_due, now)),
        )
    else:
        words = _("due in {time}").format(time=span(job.next_due - now)) if job.next_due > now else _("due now")
        due = Cell(words, note=clock(job.next_due, now))
    if job.running:
        last = Cell(_("{count} running").format(count=job.running))
    elif job.last_exit_code is None:
        last = Cell("–", "muted")
    else:
        last = Cell(
            _("succeeded") if job.last_exit_code == 0 else _("exit code {code}").format(code=job.last_exit_code)
        )
        last = last._replace(level="warning" if job.last_exit_code else "")
        last = last._replace(
            note=_("in {time}").format(time=span(job.last_seconds)) if job.last_seconds is not None else ""
        )
    return (
        Cell(job.name),
        due,
        when(job.last_success, now),
        last,
        Cell(_("{count} failed").format(count=job.failed), "" if job.failed else "muted"),
    )
