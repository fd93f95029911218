"""What a script pays for importing the SDK: the standard library only, and little of it."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import vv_core

PACKAGE = Path(vv_core.__file__).parent
PUBLIC = sorted(f"vv_core.{file.stem}" for file in PACKAGE.glob("[a-z]*.py"))
EXPENSIVE = {
    "argparse", "asyncio", "concurrent", "dataclasses", "datetime", "email", "enum", "http",
    "importlib.metadata", "inspect", "json", "logging", "multiprocessing", "pathlib", "random", "re",
    "secrets", "shutil", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "traceback", "typing",
    "urllib", "uuid",
}  # fmt: skip


def imported(module: str) -> set[str]:
    """Modules that importing `module` brings into an interpreter that has what every script has of its `site`."""
    code = (
        f"import sys, os, types, collections.abc; sys.path.insert(0, {str(PACKAGE.parent)!r}); "
        f"bare = set(sys.modules); import {module}; print(*(set(sys.modules) - bare))"
    )
    output = subprocess.run([sys.executable, "-S", "-E", "-c", code], capture_output=True, check=True, text=True)
    return set(output.stdout.split())


@pytest.mark.parametrize("module", PUBLIC)
def test_a_module_imports_the_standard_library_only(module: str) -> None:
    names = {name.partition(".")[0] for name in imported(module)}

    assert {"vv_core"} == names - sys.stdlib_module_names


REPORTING = ["alerter", "dvr", "footage", "guard", "jobs", "retry", "schemas", "signing", "stages"]


@pytest.mark.parametrize("module", ["vv_core", *(f"vv_core.{name}" for name in REPORTING)])
def test_what_reports_imports_nothing_expensive(module: str) -> None:
    names = imported(module)

    assert set() == EXPENSIVE & names
    assert len(names) <= 30


def test_the_version_is_the_distributions() -> None:
    assert version("vv-exporter") == vv_core.__version__
