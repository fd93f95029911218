"""Grafana's dashboards, made with Grafana's own SDK: `make dashboards` writes `grafana/dashboards/*.json`.

A dashboard is a file in `boards/` with `board()`. Nothing here is needed to run the product.
"""

import importlib
import pkgutil
from pathlib import Path

from vv_dashboards import boards
from vv_dashboards.board import Board

FOLDER = Path(__file__).resolve().parents[1] / "dashboards"


def all_boards() -> list[Board]:
    """Every dashboard, by the name of its file."""
    names = sorted(module.name for module in pkgutil.iter_modules(boards.__path__))
    return [importlib.import_module(f"{boards.__name__}.{name}").board() for name in names]


def targets() -> dict[Path, str]:
    """What belongs into which file."""
    return {FOLDER / f"{board.name}.json": board.json() for board in all_boards()}
