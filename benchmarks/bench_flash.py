"""What the stack of `vv up` writes to the device's flash in an hour, by who writes it.

python -m benchmarks.bench_flash [--seconds 300] [--before REF] [--mount OPTIONS]

Each part's folder lies on an ext4 of its own on a loop device, whose `stat` says what reached the disk: contents, and
what the file system writes to find them again (Documentation/block/stat.rst; a sector has 512 bytes). "floor" is one
line of 100 bytes a second, appended to a file by `cat`, and nothing else: what the file system's own journal makes of
it. ext4 commits every five seconds while anything changes, be it a file's time. On one file system the parts share
these commits: the sum of the parts is more than the stack writes then; "on one disk" is that. `--mount commit=30` has
it commit less often (ext4(5)).

Needs root, for the loop devices. With `--before` the commit REF is measured as well, in the same way.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from benchmarks._disks import own_disks, written_bytes
from benchmarks._measure import machine
from benchmarks._results import OURS, Figure, publish

ROOT = Path(__file__).parents[1]
PARTS = {
    "the journal": "journal",
    "the exporter's store": "exporter",
    "app.log": "logs",
    "Prometheus": "stack/prometheus",
    "Alertmanager": "stack/alertmanager",
    "all else": ".",
}
SETTLING_SECONDS = 45
OPTIONS = "BENCH_FLASH_MOUNT"
EVENTS = """
import time
from vv_core.jobs import heartbeat
from vv_core.stages import stage

def events():
    while True:
        heartbeat("cleanup")
        yield
        with stage("scan_video"):
            yield
        yield

begun = time.monotonic()
for number, _ in enumerate(events(), 1):
    time.sleep(max(begun + number - time.monotonic(), 0))
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--before", metavar="REF", help="a commit to measure beside this one")
    parser.add_argument("--mount", metavar="OPTIONS", default="loop", help="of mount(8), for all that is measured")
    wanted = parser.parse_args()
    if os.geteuid():
        raise SystemExit("bench_flash: needs root, to make file systems of its own")
    print(f"MB an hour that reach the disk, measured for {wanted.seconds:.0f} s   [{machine()}]")
    print(f"{'':28}{'1 event/s':>10}{'idle':>10}", flush=True)
    os.environ[OPTIONS] = wanted.mount
    published = []
    with commits(wanted.before) as found:
        for name, root in found.items():
            floor, *figures = _measured(root, wanted.seconds)
            busy, idle = figures[0] | figures[1], figures[2] | figures[3]
            print(f"{name}")
            for part in busy:
                _print(f"  {part}", busy[part], idle[part])
            _print("  floor", floor["floor"], 0.0)
            subject = OURS if root == ROOT else name
            for mode, found_of in (("an event a second", busy), ("idle", idle)):
                what = f"written to flash in an hour, on one disk, {mode}"
                published.append(Figure(what, subject, "MB", (found_of["on one disk"] / 1e6,)))
    if wanted.mount == "loop":
        publish("flash", published)


def _measured(root: Path, seconds: float) -> list[dict[str, float]]:
    """The floor, then with events and without: one disk each, a disk for each part. All at the same time."""
    with ThreadPoolExecutor() as pool:
        floor = pool.submit(_floor, seconds)
        stacks = [
            pool.submit(_stack, root, events, parts, seconds)
            for events in (True, False)
            for parts in (PARTS, {"on one disk": "."})
        ]
        return [one.result() for one in (floor, *stacks)]


def _print(name: str, *figures: float) -> None:
    print(f"{name:28}" + "".join(f"{figure / 1e6:10.2f}" for figure in figures), flush=True)


@contextlib.contextmanager
def commits(before: str | None) -> Iterator[Mapping[str, Path]]:
    """Checkouts by what they are called in the table."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        commits = {"this commit": ROOT}
        if before is not None:
            tree = Path(folder, "before")
            subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", tree, before], check=True)
            stack.callback(subprocess.run, ["git", "-C", ROOT, "worktree", "remove", "--force", tree], check=True)
            commits = {before: tree, **commits}
        yield commits


def _floor(seconds: float) -> dict[str, float]:
    with own_disks({"floor": "."}, os.environ[OPTIONS]) as (folder, devices):
        command = f"while echo {'x' * 99}; do sleep 1; done | cat > {folder}/lines"
        process = subprocess.Popen(["sh", "-c", command], start_new_session=True)
        try:
            return _an_hour(devices, seconds)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _stack(root: Path, events: bool, parts: Mapping[str, str], seconds: float) -> dict[str, float]:
    """What the stack writes in an hour, by part; with an event a second, or idle."""
    with own_disks(parts, os.environ[OPTIONS]) as (folder, devices), contextlib.ExitStack() as stack:
        env = stack_environment(root, folder)
        _run(stack, [sys.executable, "-m", "vv_exporter", "up"], env, folder.with_name("up.log"))
        _wait_for(f"http://127.0.0.1:{env['VV_PROMETHEUS_PORT']}/-/ready")
        if events:
            _run(stack, [sys.executable, "-c", EVENTS], env, folder.with_name("events.log"))
        return _an_hour(devices, seconds)


def stack_environment(root: Path, folder: Path) -> dict[str, str]:
    """What `vv up` of the checkout `root` is started with, to have its state in `folder` and ports of its own."""
    ports = {name: str(_free_port()) for name in ("EXPORTER", "PROMETHEUS", "ALERTMANAGER")}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("VV_")},
        **{f"VV_{name}_PORT": port for name, port in ports.items()},
        "VV_STATE_DIR": str(folder),
        "VV_TOOLS_DIR": str(ROOT / ".vv"),
        "VV_CONFIG": "",
        "PYTHONPATH": str(root / "exporter"),
    }


def _run(stack: contextlib.ExitStack, command: list[str], env: dict[str, str], log: Path) -> None:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=env["PYTHONPATH"])

    def end() -> None:
        process.terminate()
        process.wait(60)

    stack.callback(end)


def _wait_for(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=2).ok:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer")


def _an_hour(devices: Mapping[str, Path], seconds: float) -> dict[str, float]:
    """Bytes written in an hour, by device, as they were written in some seconds after the start has settled."""
    time.sleep(SETTLING_SECONDS)
    before, begun = {name: written_bytes(stat) for name, stat in devices.items()}, time.monotonic()
    time.sleep(seconds)
    hours = (time.monotonic() - begun) / 3600
    return {name: (written_bytes(stat) - before[name]) / hours for name, stat in devices.items()}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
