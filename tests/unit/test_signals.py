"""A signal may come while the main thread holds any lock: whoever acts on it must not wait for that thread."""

import subprocess
import sys

import pytest

ENDS = """
import signal
from vv_exporter.runtime.program import until_signalled
stopping = until_signalled()
with stopping._cond:  # the main thread holds it in `wait`, for some instructions each time
    signal.raise_signal(signal.{name})
    for _ in range(1000):
        pass
assert stopping.wait(30)
print("ended")
"""

HANGS_UP = """
import logging, signal, threading
from vv_exporter.runtime.program import on_hangup, until_signalled

class Written(logging.Handler):  # as a stream that must not be entered twice, by a handler in the middle of a line
    def createLock(self):
        self.lock = threading.Lock()
    def emit(self, record):
        print(record.getMessage(), flush=True)

logging.basicConfig(level=logging.INFO, handlers=[handler := Written()])
stopping = until_signalled()
with handler.lock:
    signal.raise_signal(signal.SIGHUP)
    for _ in range(1000):
        pass
heard = threading.Event()
on_hangup(heard.set)
signal.raise_signal(signal.SIGHUP)
assert heard.wait(30)
signal.raise_signal(signal.SIGTERM)
assert stopping.wait(30)
print("ended")
"""

ONE_ACT_FAILS = """
import signal
from vv_exporter.runtime import signals
from vv_exporter.runtime.program import until_signalled
stopping = until_signalled()
signals.on(signal.SIGHUP, lambda: 1 / 0)
signal.raise_signal(signal.SIGHUP)
signal.raise_signal(signal.SIGTERM)
assert stopping.wait(30)
print("ended")
"""

ANOTHER_THREAD_GETS_IT = """
import signal, threading, time
from vv_exporter.runtime import systemd
from vv_exporter.runtime.program import until_signalled
stopping = until_signalled()
other = threading.Thread(target=time.sleep, args=(60,), daemon=True)
other.start()
threading.Timer(0.5, lambda: signal.pthread_kill(other.ident, signal.SIGTERM)).start()
systemd.wait(stopping, lambda: True, {})
print("ended")
"""

BEGINS_ANEW = """
import os, signal, sys, threading
from vv_exporter.runtime.program import begin_anew, until_signalled
stopping = until_signalled()
if "again" in os.environ:
    print("again, as", os.getpid() == int(os.environ["again"]))
    sys.exit()
os.environ["again"] = str(os.getpid())
{before}
begin_anew(stopping)
print("ended")
"""


def said(code: str) -> str:
    """What the program prints; a program that waits for itself is ended by the timeout."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_program_ends_whatever_lock_its_main_thread_holds(name: str) -> None:
    assert said(ENDS.format(name=name)) == "ended\n"


def test_sighup_is_answered_whatever_lock_its_main_thread_holds() -> None:
    assert "nothing to read again" in said(HANGS_UP)


def test_an_act_that_fails_costs_itself_only() -> None:
    assert said(ONE_ACT_FAILS) == "ended\n"


def test_a_program_ends_whichever_thread_the_kernel_gives_the_signal_to() -> None:
    assert said(ANOTHER_THREAD_GETS_IT) == "ended\n"


def test_a_program_begins_anew_as_the_same_process() -> None:
    assert said(BEGINS_ANEW.format(before="")) == "again, as True\n"


def test_a_program_that_is_to_end_does_not_begin_anew() -> None:
    assert said(BEGINS_ANEW.format(before="signal.raise_signal(signal.SIGTERM)")) == "ended\n"
