"""VictoriaMetrics and its agent, door and rules, which tests take for the centre of a fleet."""

from pathlib import Path

from tools.program import Program
from vv_exporter.stack import victoria

STORE = victoria.STORE


def store(folder: Path | None = None) -> Path | None:
    """VictoriaMetrics, fetched or on `PATH`, or None."""
    return victoria.find(STORE, folder)


VICTORIAMETRICS = Program(
    "store",
    "VictoriaMetrics",
    is_there=lambda folder: all(victoria.find(name, folder) for name in victoria.PROGRAMS),
    fetch=victoria.fetch,
    otherwise=f"Put {', '.join(victoria.PROGRAMS)} on PATH",
)
