"""Follow ``app.log``, where the exporter writes every notification."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_NOTICE = re.compile(
    r"(?P<time>\S+) .* ALERT (?P<status>FIRING|RESOLVED) (?P<severity>[A-Z]+) (?P<alert>\w+): (?P<text>.*)"
)


@dataclass(frozen=True)
class Notice:
    """A notification of one alert, and when it arrived (Unix seconds)."""

    at: float
    firing: bool
    severity: str
    alert: str
    title: str
    details: str


def parse(line: str) -> Notice | None:
    """The notification that a line of ``app.log`` tells of, None if of none."""
    found = _NOTICE.match(line)
    if found is None:
        return None
    title, _, rest = found["text"].replace(r"\n", "\n").partition(" | ")
    return Notice(
        at=datetime.fromisoformat(found["time"]).timestamp(),
        firing=found["status"] == "FIRING",
        severity=found["severity"].lower(),
        alert=found["alert"],
        title=title,
        details=rest.partition(" | ")[0],
    )


class AppLog:
    """Reads what others append to a log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """The whole lines that were not returned yet."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = self._rest + file.read()
            self._read = file.tell()
        *lines, self._rest = content.split(b"\n")
        return [line.decode(errors="replace") for line in lines]
