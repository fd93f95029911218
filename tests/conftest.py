"""Fixtures that need something of the machine. Where it is missing a test is skipped, and says why; with `CI` or
`VV_REQUIRE_ALL` in the environment nothing may be missing: what would be skipped fails."""

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import docker
import pytest

from tests.support import engine as engines
from tests.support.certificates import Certificates, make_certificates
from tests.support.servers import Programs
from tools.browser import browser as find_browser
from tools.browser import browser_environment
from tools.rtsp import has_rtsp
from tools.store import STORE, store
from vv_core import _ends
from vv_exporter.stack.programs import TOOLS, find

if TYPE_CHECKING:
    from tests.support.browser import Browser

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


def pytest_configure() -> None:
    """Hear the signals that a background job or nohup has ignored: what the tests start would ignore them, too."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _unheard)


def _unheard(_number: int, _frame: object) -> None:
    """The run goes on when its terminal goes; programs that it starts get the default, as at every exec."""


def _require_all() -> bool:
    return any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "VV_REQUIRE_ALL"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _unskipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _unskipped((yield))


def _unskipped(report: R) -> R:
    if report.skipped and not hasattr(report, "wasxfail") and _require_all():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped here (CI or VV_REQUIRE_ALL is set), but: {reason}"
    return report


def pytest_runtest_setup() -> None:
    """pytest keeps a failure where Python keeps what ends a process, and a test of `guard` says that this one is about
    to end: neither must end those of the next tests."""
    vars(sys).pop("last_value", None)
    _ends._failed = False


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Prometheus, promtool, Alertmanager and amtool."""
    paths = {tool.name: find(tool) for tool in TOOLS}
    absent = [name for name, path in paths.items() if path is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} missing: `make tools` fetches them")
    return Programs(**{name: path for name, path in paths.items() if path is not None})


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a server's certificate and a client's, made by OpenSSL's command."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A Chromium without windows. Mark the test `browser`."""
    from tests.support.browser import launched  # takes a third of a second, and few tests need it

    program = find_browser()
    if program is None:
        pytest.skip("there is no Chromium: `make tools` fetches one")
    with launched(program, browser_environment()) as browser:
        yield browser


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[engines.Engine]:
    """A Docker Engine: one of our own as root, else the one that answers. Mark the test `docker`."""
    try:
        with engines.private_engine() as engine:
            yield engine
            return
    except engines.EngineUnavailableError as error:
        reason = str(error)
    try:
        yield engines.answering_engine()
    except engines.EngineUnavailableError as error:
        pytest.skip(f"{reason}; {error}")


@pytest.fixture(scope="session")
def rtsp_tools() -> None:
    """What `tests.support.rtsp.RtspServer` runs with. Mark the test `rtsp`."""
    if not has_rtsp():
        pytest.skip("GStreamer's RTSP server is missing: `make tools` fetches it")


@pytest.fixture(scope="session")
def store_program() -> Path:
    """VictoriaMetrics."""
    program = store()
    if program is None:
        pytest.skip(f"{STORE} is missing: `make tools` fetches it")
    return program


@pytest.fixture
def docker_client(docker_engine: engines.Engine) -> Iterator[docker.APIClient]:
    """A client of the Engine."""
    client = docker_engine.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def busybox(docker_engine: engines.Engine) -> str:
    """The name of a small image with busybox."""
    try:
        return engines.busybox_image(docker_engine)
    except engines.EngineUnavailableError as error:
        pytest.skip(str(error))
