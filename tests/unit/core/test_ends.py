"""How a process ends: whatever it does to end itself is said, and what ends it from outside is not."""

import json
import os
import subprocess
import sys

import pytest

from tests.unit.core.conftest import State

GUARD = "import os, signal, sys, threading, time\nfrom vv_core.guard import guard, install\n"
LINK = "import os, signal, sys, time\nfrom vv_core.dvr import DvrLink\nlink = DvrLink('front')\nlink.frame()\n"
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
BEGUN, ENDED = "script.started", "script.ended"


def kinds(state: State, code: str) -> list[str]:
    """The types of what a script reports until all its processes have ended."""
    read, write = os.pipe()
    with state.python(code, stderr=subprocess.DEVNULL, pass_fds=[write]) as process:
        os.close(write)
        process.wait(60)
        os.read(read, 1)  # its children have it, too
        os.close(read)
    return [event["type"] for event in state.events()]


@pytest.mark.parametrize(
    "body",
    [
        "pass",
        "1 / 0",
        "sys.exit(3)",
        "os._exit(3)",
        "raise KeyboardInterrupt",
        "threading.Thread(target=time.sleep, args=[0.1]).start()",
        "threading.Thread(target=lambda: os._exit(1)).start(); time.sleep(60)",
        "os.execv(sys.executable, [sys.executable, '-c', 'pass'])",
        "os.execlp(sys.executable, sys.executable, '-c', 'pass')",
        "import subprocess; subprocess.run([sys.executable, '-c', 'import os; os.abort()'])",
        "os.system('kill -9 $$')",
    ],
)
@pytest.mark.parametrize("how", ["with guard('x.py'):", "install('x.py')\nif True:"], ids=["guard", "installed"])
def test_a_script_that_ends_itself_has_ended(state: State, how: str, body: str) -> None:
    assert [kind for kind in kinds(state, f"{GUARD}{how}\n    {body}") if kind != "exception"] == [BEGUN, ENDED]


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGSEGV", "SIGHUP"])
@pytest.mark.parametrize("how", ["with guard('x.py'):", "install('x.py')\nif True:"], ids=["guard", "installed"])
def test_a_script_that_is_killed_has_not(state: State, how: str, number: str) -> None:
    assert kinds(state, f"{GUARD}{how}\n    os.kill(os.getpid(), signal.{number}); time.sleep(60)") == [BEGUN]


def test_a_script_that_is_killed_after_its_guard_has_ended(state: State) -> None:
    assert kinds(state, f"{GUARD}with guard('x.py'): pass\n{KILL}") == [BEGUN, ENDED]


def test_a_daemon_thread_within_a_guard_ends_with_the_script(state: State) -> None:
    code = f"""{GUARD}
def work():
    with guard('x.py'):
        entered.set(); time.sleep(60)
entered = threading.Event()
threading.Thread(target=work, daemon=True).start()
entered.wait()
"""
    assert kinds(state, code) == [BEGUN, ENDED]


def test_threads_and_guards_within_each_other_are_one_script(state: State) -> None:
    code = f"""{GUARD}
@guard('x.py')
def work(depth):
    if depth: work(depth - 1)
with guard('x.py'):
    threads = [threading.Thread(target=work, args=[3]) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""
    assert kinds(state, code) == [BEGUN, ENDED]


def test_a_script_that_could_not_be_replaced_goes_on(state: State) -> None:
    code = f"""{GUARD}
with guard('x.py'):
    try: os.execv('/nonexistent', ['x'])
    except OSError: pass
    {KILL}
"""
    assert kinds(state, code) == [BEGUN, ENDED, BEGUN]


@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)", "pass", KILL, "os.execv('/bin/true', ['true'])"])
def test_a_forked_child_says_nothing_of_its_parents_guard(state: State, end: str) -> None:
    code = f"""{GUARD}
install('x.py')
with guard('x.py'):
    if not (child := os.fork()):
        {end}
    else:
        os.waitpid(child, 0)
"""
    assert kinds(state, code) == [BEGUN, ENDED]


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)"])
def test_a_daemon_that_forks_is_watched_from_where_it_enters_a_guard(state: State, leave: str) -> None:
    code = f"""{GUARD}
with guard('x.py'):
    if os.fork(): {leave}
    os.setsid()
    if os.fork(): {leave}
    with guard('daemon.py'):
        {KILL}
"""
    kinds(state, code)

    files = [[json.loads(line) for line in file.read_text().splitlines()] for file in state.files()]
    assert sorted((file[0]["component"], [event["type"] for event in file[1:]]) for file in files) == [
        ("daemon.py", [BEGUN]),
        ("x.py", [BEGUN, ENDED]),
    ]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_that_is_ended_in_the_middle_of_its_work_has_not_crashed(state: State, method: str) -> None:
    script = state.folder.parent / "pooled.py"
    script.write_text(
        f"""{GUARD}import multiprocessing
@guard('worker.py')
def work(number):
    time.sleep(60 if number else 0)
if __name__ == '__main__':
    with guard('x.py'), multiprocessing.get_context({method!r}).Pool(2) as pool:
        next(pool.imap_unordered(work, range(8)))
"""
    )
    environ = {**os.environ, "VV_STATE_DIR": str(state.folder)}
    subprocess.run([sys.executable, str(script)], env=environ, check=True, timeout=60)

    assert [event["type"] for event in state.events()] == [BEGUN, ENDED]


@pytest.mark.parametrize("span", ["vv_core.stages import stage as span", "vv_core.jobs import job as span"])
def test_within_a_stage_or_a_job_a_guard_leaves_it_to_these(state: State, span: str) -> None:
    code = f"{GUARD}from {span}\nwith span('s'):\n    with guard('x.py'): {KILL}"

    assert [kind for kind in kinds(state, code) if kind.startswith("script")] == []


def test_a_child_that_was_forked_in_a_stage_is_none_of_its(state: State) -> None:
    code = f"""{GUARD}from vv_core.stages import stage
with stage('s'):
    if not (child := os.fork()):
        with guard('child.py'): {KILL}
    os.waitpid(child, 0)
"""
    assert sorted(kinds(state, code)) == [BEGUN, "stage.finished", "stage.started"]


def test_the_video_is_told_at_the_beginning(state: State) -> None:
    kinds(state, f"{GUARD}with guard('x.py', video='a.mp4', video_sha256='ab'): {KILL}")

    (begun,) = state.events()
    assert (begun["video"], begun["video_sha256"]) == ("a.mp4", "ab")


def test_a_journal_that_cannot_be_written_disturbs_no_guard(state: State) -> None:
    state.folder.write_text("no folder")

    state.run(f"{GUARD}with guard('x.py'): pass\ninstall('x.py')\nwith guard('x.py'): pass")


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "sys.exit(1)",
        "os._exit(1)",
        "raise KeyboardInterrupt",
        "import threading as t; from vv_core.guard import guard; "
        "work = t.Thread(target=guard('x.py', then='exit')(lambda: 1 / 0)); work.start(); work.join()",
        "link.close()",
        f"link.close(); {KILL}",
        f"link.stop(); {KILL}",
        "os.execv(sys.executable, [sys.executable, '-c', 'pass'])",
        "import multiprocessing as m; link.close(); "
        "m.get_context('fork').Process(target=lambda: DvrLink('front').frame()).start()",
    ],
)
def test_a_link_whose_process_ends_itself_has_ended(state: State, end: str) -> None:
    found = kinds(state, LINK + end)

    found = [kind for kind in found if kind.startswith("dvr")]
    assert found.count("dvr.ended") == found.count("dvr.attempt")
    assert found[-1] == "dvr.ended"


@pytest.mark.parametrize(
    "end",
    [
        KILL,
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
        "1 / 0",
        "from vv_core.guard import guard\nwith guard('x.py', then='exit'): 1 / 0",
    ],
)
def test_a_link_whose_process_is_killed_or_fails_has_not(state: State, end: str) -> None:
    assert "dvr.ended" not in kinds(state, LINK + end)


def test_a_forked_child_does_not_end_its_parents_link(state: State) -> None:
    code = f"{LINK}if not (child := os.fork()): sys.exit(0)\nos.waitpid(child, 0)\n{KILL}"

    assert "dvr.ended" not in kinds(state, code)


def test_frames_that_come_while_a_link_is_to_stop_do_not_begin_it_anew(state: State) -> None:
    assert kinds(state, f"{LINK}link.stop()\nlink.frame()\nlink._finish()\n{KILL}")[-1] == "dvr.ended"


def test_a_link_that_goes_on_after_its_end_has_not_ended(state: State) -> None:
    assert kinds(state, f"{LINK}link.close()\nlink = DvrLink('front')\nlink.failed('no')\n{KILL}")[-1] == "dvr.attempt"


def test_a_link_that_never_reported_ends_silently_but_may_say_that_there_is_none(state: State) -> None:
    assert kinds(state, "from vv_core.dvr import DvrLink\nDvrLink('front').stop()") == []
    assert kinds(state, "from vv_core.dvr import DvrLink\nDvrLink('front').close()") == ["dvr.ended"]


def test_of_several_links_each_ends(state: State) -> None:
    kinds(state, LINK + "DvrLink('back').frame()")

    assert {event["dvr"] for event in state.events("dvr.ended")} == {"front", "back"}


def test_os_is_left_alone_until_somebody_reports(state: State) -> None:
    code = "import os\nbefore = os._exit\nfrom vv_core import dvr, guard\nprint(os._exit is before)"

    assert state.run(code) == "True\n"
