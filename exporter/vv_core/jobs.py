"""Jobs that run by schedule: that they ran, how they ended, and that they are alive.

with job("cleanup_old_files"):
    clean_up()

heartbeat("log_exporter")       # a success, just now
"""

from __future__ import annotations

from vv_core import _runs
from vv_core.common import journals, texts

MAX_OUTPUT = 10_000
"""Longest output of a job that is recorded, in bytes; its end is kept (``docs/journal.md``)."""


class Job(_runs.Span):
    """See `job`."""

    kind = "job"

    def _start(self, run: _runs.Run) -> dict[str, object]:  # noqa: ARG002
        return {}

    def _finish(self, run: _runs.Run) -> dict[str, object]:
        fields: dict[str, object] = {"result": "failure" if run.failed else "success"}
        if (code := _runs.exit_code(run.exit_code)) is not None:
            fields["exit_code"] = code
        if run.error is not None:
            fields["error"] = run.error if run.exception is None else _named_error(run.exception, run.error)
        if run.output is not None and (output := texts.last_lines(run.output, MAX_OUTPUT)):
            fields["output"] = output
        return fields


def job(name: str, *, component: str | None = None) -> Job:
    """Report a run of the job `name`: a context manager that yields the run (`run.fail`, `run.exit_code`,
    `run.output`), or a decorator.

    An exception that leaves the body makes it a failure and goes on unchanged; `SystemExit(0)` does not. A run
    that is killed counts as crashed. `component` is the script that reports (default: the running one). Raises
    nothing.
    """
    return Job(name, component)


def heartbeat(name: str, *, component: str | None = None) -> None:
    """Report that the job `name` succeeded just now. Raises nothing."""
    journals.emit("heartbeat", journals.component_name(component), {"job": texts.name(name) or "unnamed"})


def skipped(name: str, reason: str = "", *, component: str | None = None) -> None:
    """Report that a run of the job `name` was due but was not begun, as another one is in progress. Raises nothing."""
    fields: dict[str, object] = {"job": texts.name(name) or "unnamed"}
    if text := texts.line(reason, _runs.MAX_ERROR):
        fields["reason"] = text
    journals.emit("job.skipped", journals.component_name(component), fields)


def _named_error(exception: str, error: str) -> str:
    return error if error == exception else texts.line(f"{exception}: {error}", _runs.MAX_ERROR)
