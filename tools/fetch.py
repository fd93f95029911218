"""Fetch the servers of `vv up`, and what tests need beside them, into a folder of our own; install nothing.

`python -m tools.fetch [--engine] [--recent-engine] [--rtsp] [--browser] [--store] [--recent-python]` needs nothing but
the standard library, with `exporter/` on PYTHONPATH where the product is not installed. It does nothing where all is
there.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tools.browser import BROWSER
from tools.engine import ENGINE, RECENT_ENGINE
from tools.program import ensure
from tools.recent_python import PYTHON
from tools.rtsp import RTSP
from tools.store import VICTORIAMETRICS
from vv_exporter.common.programs import home
from vv_exporter.stack.fetch import FetchError, ensure_tools

PROGRAMS = (ENGINE, RECENT_ENGINE, RTSP, BROWSER, VICTORIAMETRICS, PYTHON)
"""In this order: the second Engine needs the first."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for each program that tests need."""
    for program in PROGRAMS:
        only = " (as root)" if program.as_root else ""
        parser.add_argument(f"--{program.option}", action="store_true", help=f"fetch {program.title}, too{only}")


def fetch(options: argparse.Namespace, folder: Path) -> int:
    """Fetch what is missing of what the options name; 1 if something could not be had."""
    wanted = [program for program in PROGRAMS if getattr(options, program.option.replace("-", "_"))]
    useful = [program for program in wanted if not program.as_root or os.geteuid() == 0]
    steps = [partial(ensure_tools, folder), *(partial(ensure, program, folder) for program in useful)]
    status = 0
    for have in steps:
        try:
            have()
        except FetchError as error:
            print(error, file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            return 130
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what is missing; 1 if something could not be had."""
    parser = argparse.ArgumentParser(prog="tools.fetch", description=__doc__)
    add_options(parser)
    parser.add_argument("--home", type=Path, default=home(), help="the folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    return fetch(options, options.home.absolute())


if __name__ == "__main__":
    sys.exit(main())
