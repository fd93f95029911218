"""What the pipeline checks: JSON against its schemas, and signatures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.metrics.pipeline import LAST_FAILURE, LAST_FAILURE_INFO
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.state.timeline import shortened
from vv_exporter.status.series import Series
from vv_exporter.status.table import QUOTED, Cell, Table, when

SIGNATURES = (translatable("hmac sign"), translatable("hmac verify"))
RECENT = 3600.0  # seconds for which a failure is shown as one


class Check(msgspec.Struct, frozen=True):
    """A schema, or signing or verifying, of a component; `last_failure` in Unix seconds."""

    name: str
    component: str
    passed: int
    failed: int
    last_failure: float | None
    error: str


def read(series: Series) -> Iterator[Check]:
    """All checks."""
    for metric, label, prefix, good in (
        (SCHEMA_VALIDATIONS, "schema", "schema", "valid"),
        (HMAC_OPERATIONS, "operation", "hmac", "ok"),
    ):
        counts: dict[tuple[str, str], list[int]] = {}
        for labels, value in series.all(metric):
            pair = counts.setdefault((labels[label], labels["component"]), [0, 0])
            pair[labels["result"] != good] += int(value)
        for (what, component), (passed, failed) in sorted(counts.items()):
            kind = f"{prefix}:{what}"
            yield Check(
                name=f"{prefix} {what}",
                component=component,
                passed=passed,
                failed=failed,
                last_failure=series.one(LAST_FAILURE, component=component, kind=kind),
                error=series.text(LAST_FAILURE_INFO, "error", component=component, kind=kind),
            )


def table(checks: Sequence[Check], now: float) -> Table:
    """For people; those that failed last first."""
    ordered = sorted(checks, key=lambda one: (-(one.last_failure or 0.0), one.name, one.component))
    columns = (_("Check"), _("Component"), _("Passed"), _("Failed"), _("Last failure"))
    return Table("security", _("Schemas and signatures"), columns, [_check_row(one, now) for one in ordered])


def _check_name(name: str) -> str:
    """Which check it is, in the current language."""
    if name in SIGNATURES:
        return _(name)
    return _("schema {name}").format(name=name.removeprefix("schema "))


def _check_row(one: Check, now: float) -> tuple[Cell, ...]:
    recent = one.last_failure is not None and now - one.last_failure < RECENT
    moment = None if one.last_failure is None else (one.last_failure, one.component)
    last = Cell("–", "muted") if one.last_failure is None else when(one.last_failure, now)
    return (
        Cell(_check_name(one.name)),
        Cell(one.component),
        Cell(str(one.passed)),
        Cell(str(one.failed), "warning" if recent else "" if one.failed else "muted"),
        last._replace(note=shortened(one.error, QUOTED) or last.note, moment=moment),
    )
