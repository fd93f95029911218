"""The entry point of ``vv``: what a script reports in plain words is recorded at once, and what the Engine asks of a
container every half minute answered; all else goes to click.

To load click, and what comes with it, takes longer than all else (``benchmarks/bench_cli.py``). A call is plain when it
is complete and right, and holds nothing that click would read in another way; help and mistakes are click's.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn


def main() -> None:
    """Run the command line."""
    report = None if "_VV_COMPLETE" in os.environ else plain(sys.argv[1:])
    if report is None:
        from vv_exporter.cli import main

        main()
    else:
        sys.exit(_run_report(report))


def plain(words: Sequence[str]) -> Callable[[], int] | None:
    """What a plain call of `alert`, `heartbeat`, `cron` or `health` does; None for every other call."""
    parse = {
        "alert": _alert_report,
        "heartbeat": _heartbeat_report,
        "cron": _cron_report,
        "health": _health_report,
    }.get(words[0] if words else "")
    return None if parse is None else parse(list(words[1:]))


def _run_report(report: Callable[[], int]) -> int:
    from vv_exporter.reporting.reports import NotRecordedError

    try:
        return report()
    except NotRecordedError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _leave_at_once(1)  # nobody reads standard output, and a flush at the end would complain of it


def _leave_at_once(code: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(code)


def _heartbeat_report(words: list[str]) -> Callable[[], int] | None:
    if len(words) != 1 or words[0].startswith("-"):
        return None

    def report() -> int:
        from vv_exporter.reporting.reports import report_heartbeat

        report_heartbeat(words[0])
        return 0

    return report


def _alert_report(words: list[str]) -> Callable[[], int] | None:
    from vv_core.common import levels

    options = _Options(words, once=("--details", "--component", "--dedupe-key"), often=("--context", "--suggest"))
    if not options.complete or len(options.rest) != 2 or levels.known(options.rest[0]) is None:
        return None
    pairs = [item.partition("=") for item in options.often["--context"]]
    if not all(key and equals for key, equals, _ in pairs):
        return None

    level, title = options.rest

    def report() -> int:
        from vv_exporter.reporting.reports import report_alert

        report_alert(
            level,
            title,
            details=options.once.get("--details", ""),
            component=options.once.get("--component"),
            context={key: value for key, _, value in pairs},
            suggest=tuple(options.often["--suggest"]),
            dedupe_key=options.once.get("--dedupe-key"),
        )
        return 0

    return report


def _cron_report(words: list[str]) -> Callable[[], int] | None:
    from vv_exporter.reporting.reports import OVERLAPS

    options = _Options(words, once=("--job", "--overlap", "--timeout"), until_word=True)
    cmd = options.rest
    if not options.complete or "--job" not in options.once or not cmd:
        return None
    overlap, limit = options.once.get("--overlap", OVERLAPS[0]), options.once.get("--timeout")
    if overlap not in OVERLAPS:
        return None
    timeout = None
    if limit is not None:
        from vv_core.common.units import parse_duration

        try:
            timeout = parse_duration(limit)
        except ValueError:
            return None
        if timeout == 0:
            return None

    def report() -> int:
        from vv_exporter.reporting.reports import run_job

        return run_job(options.once["--job"], overlap, timeout, tuple(cmd))

    return report


def _health_report(words: list[str]) -> Callable[[], int] | None:
    from vv_exporter import health

    options = _Options(words, once=("--port", "--socket"))
    part = options.rest[0] if options.complete and len(options.rest) == 1 else ""
    may_have = {"exporter": {"--port"}, "self-monitor": set[str](), "docker-proxy": {"--socket"}}.get(part)
    port, path = options.once.get("--port"), options.once.get("--socket", "")
    if may_have is None or not options.once.keys() <= may_have:
        return None
    if port is not None and not health.is_number(port):
        return None
    if part == "docker-proxy" and (not path or os.path.isdir(path)):  # noqa: PTH112 - pathlib takes as long as all else
        return None

    def report() -> int:
        try:
            said = health.ask(part, int(port or 0), path)
        except health.UnhealthyError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
        print(*filter(None, (said, "healthy")), sep="\n")
        return 0

    return report


class _Options:
    """``--name value`` and ``--name=value`` among words. Not `complete` where a word could mean something else.

    With `until_word` the first other word, or ``--``, begins `rest`, and what follows is not looked at.
    """

    def __init__(
        self, words: list[str], once: tuple[str, ...], often: tuple[str, ...] = (), *, until_word: bool = False
    ) -> None:
        self.complete = True
        self._once = once
        self.once: dict[str, str] = {}
        self.often: dict[str, list[str]] = {name: [] for name in often}
        self.rest: list[str] = []
        left = words[::-1]
        while left:
            word = left.pop()
            if word == "--" and until_word:
                self.rest = left[::-1]
                return
            if word.startswith("-"):
                name, equals, value = word.partition("=")
                self._take_option(name, value if equals else left.pop() if left else None)
                continue
            self.rest.append(word)
            if until_word:
                self.rest += left[::-1]
                return

    def _take_option(self, name: str, value: str | None) -> None:
        if value is None or (value.startswith("-") and (name, value) != ("--details", "-")):
            self.complete = False
        elif name in self.often:
            self.often[name].append(value)
        elif name in self._once:
            self.once[name] = value
        else:
            self.complete = False
