"""Runs unit tests on a mutant: in a process of its own, which imports the changed module in place of the file.

Nothing is written into the checkout. Each process is a fork of one that has imported the libraries, so that it costs
the import of the product and of the tests alone. A first run, without a change, tells which tests come by which line;
a mutant is shown to those only, the quickest first. What is noticed by using too much processor or memory is noticed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXPORTER = ROOT / "exporter"
MAX_MEMORY_BYTES = 4 << 30
LEAST_PROCESSOR_SECONDS = 20
PATIENCE_SECONDS = 300.0
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout=120")
PASSED, NOTHING_RUN = 0, 5


@dataclass
class Unchanged:
    """What the tests do without a change: how long each takes, and by which lines it comes."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[int, list[str]] = field(default_factory=dict)
    at_import: list[int] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """Where each test stands: its name says so for those of this checkout alone."""

    def tests_of(self, first: int, last: int) -> list[str]:
        """Those that come by any of the lines; all of them for lines that are run at the import."""
        wanted = range(first, last + 1)
        if any(line in self.at_import for line in wanted):
            return list(self.seconds)
        return list({test: None for line in wanted for test in self.lines.get(line, ())})


class TestsFailError(Exception):
    """They fail without any change."""


def preload(cache: str) -> None:
    """Import what the product and its tests import, then forget the product. What is compiled goes into `cache`."""
    sys.path[:0] = [str(ROOT), str(EXPORTER)]
    sys.pycache_prefix, sys.dont_write_bytecode = cache, False
    os.chdir(ROOT)
    import hypothesis

    hypothesis.settings.register_profile(
        "mutants",
        database=None,
        derandomize=True,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutants")
    for name in ("vv_exporter.exporter", "vv_exporter.cli", "tests.conftest", "hypothesis.strategies"):
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] in ("vv_core", "vv_exporter")]:
        del sys.modules[name]
    for name in [name for name in sys.modules if name.startswith("tests.") and not name.startswith("tests.mutation")]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # what is there now is not looked through again in each fork


def measure(path: Path, files: Sequence[str]) -> Unchanged:
    """Run the tests of a module without a change. Raises `TestsFailError`."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")

        def run() -> int:
            recorder = _Recorder(path)
            code = pytest.main([*OPTIONS, f"--basetemp={folder}/tests", *files], plugins=[recorder])
            result.write_text(json.dumps(vars(recorder.unchanged)))
            return int(code)

        code, output = _in_fork(run, Path(folder), 600)
        if code != PASSED:
            raise TestsFailError(f"{path.name}: the tests fail without a change\n{output[-4000:]}")
        told = json.loads(result.read_text())
    lines = {int(line): tests for line, tests in told["lines"].items()}
    return Unchanged(told["seconds"], lines, told["at_import"], told["files"])


def is_noticed(path: Path, code: CodeType, tests: Sequence[str], unchanged: Unchanged) -> bool:
    """Whether one of the tests fails with this code in place of the module's."""
    if not tests:
        return False
    chosen = sorted(tests, key=lambda test: unchanged.seconds[test])
    files = list({unchanged.files[test]: None for test in chosen})
    limit = LEAST_PROCESSOR_SECONDS + 10 * sum(unchanged.seconds[test] for test in chosen)
    with tempfile.TemporaryDirectory() as folder:

        def run() -> int:
            sys.meta_path.insert(0, _Finder(path, code))
            return int(
                pytest.main(
                    [*OPTIONS, f"--basetemp={folder}/tests", *files], plugins=[_Chosen(chosen, unchanged.seconds)]
                )
            )

        result, output = _in_fork(run, Path(folder), int(limit))
    if result == NOTHING_RUN:
        raise TestsFailError(f"{path.name}: no test ran\n{output[-2000:]}")
    return result != PASSED


def module_name(path: Path) -> str:
    """As it is imported."""
    parts = path.relative_to(EXPORTER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder(MetaPathFinder):
    """Finds one module, changed."""

    def __init__(self, path: Path, code: CodeType) -> None:
        self._name = module_name(path)
        self._path = str(path)
        self._code = code

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return spec_from_file_location(fullname, self._path, loader=_Loader(fullname, self._path, self._code))


class _Chosen:
    """Leaves out the others that are known. A change may also rename a test, by the values that it is run with."""

    def __init__(self, chosen: Collection[str], known: Collection[str]) -> None:
        self._left_out = {*known} - {*chosen}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid not in self._left_out]


class _Recorder:
    """Notes which test comes by which lines of a file."""

    def __init__(self, path: Path) -> None:
        self.unchanged = Unchanged()
        self._path = str(path)
        self._lines: set[int] = set()
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._trace_line if frame.f_code.co_filename == self._path else None

    def _trace_line(self, frame: FrameType, event: str, arg: Any) -> Any:
        self._lines.add(frame.f_lineno)
        return self._trace_line

    def pytest_collection_finish(self) -> None:
        self.unchanged.at_import = sorted(self._lines)
        self._lines.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        sys.settrace(self._trace)
        started = time.perf_counter()
        result = yield
        self.unchanged.seconds[item.nodeid] = time.perf_counter() - started
        self.unchanged.files[item.nodeid] = str(item.path)
        for line in self._lines:
            self.unchanged.lines.setdefault(line, []).append(item.nodeid)
        self._lines.clear()
        return result


def _in_fork(run: Callable[[], int], folder: Path, processor_seconds: int) -> tuple[int, str]:
    """The exit code of a function in a process of its own, -1 when it was ended, and what it printed."""
    output = folder / "output"
    pid = os.fork()
    if pid == 0:
        _become(run, output, processor_seconds)
    watched = os.pidfd_open(pid)
    try:
        if not select.select([watched], [], [], PATIENCE_SECONDS + processor_seconds)[0]:
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    finally:
        os.close(watched)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what the tests started, and did not end
    return os.waitstatus_to_exitcode(status), output.read_text(errors="replace")


def _become(run: Callable[[], int], output: Path, processor_seconds: int) -> None:
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
        for number in (1, 2):
            os.dup2(descriptor, number)
        code = run()
    finally:
        sys.stdout.flush()
        os._exit(code)
