"""Runs a scenario, as the program that is recorded: `python -m tests.powercut.run SCENARIO ROOT [FAULT]`."""

import importlib
import sys
from pathlib import Path

from tests.powercut import faults

if __name__ == "__main__":
    name, root, *planted = sys.argv[1:]
    for fault in planted:
        faults.plant(fault)
    importlib.import_module(f"tests.powercut.scenarios.{name}").run(Path(root))
