"""What reporting from a shell costs: `vv heartbeat`, `vv alert` and `vv cron`, as they are and by way of click, beside
a bare interpreter, the shell's own writer and, where it is installed, curl.

python -m benchmarks.bench_cli
"""

import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from benchmarks._measure import compare, table

ROUNDS = 9
REPEAT = 5
GOAL_MS = 25
ROOT = Path(__file__).parent.parent
CALLS = {
    "vv heartbeat": ["heartbeat", "nightly"],
    "vv alert": ["alert", "ERROR", "The disk was swapped"],
    "vv cron -- true": ["cron", "--job", "nightly", "--", "true"],
}


def main() -> None:
    """Print the table, and what each command takes over the bare interpreter."""
    vv = str(Path(sys.executable).with_name("vv"))
    by_click = [sys.executable, "-c", "from vv_exporter.cli import main; main()"]
    with tempfile.TemporaryDirectory() as state, Answering() as address:
        subjects = {"python3 -c pass": [sys.executable, "-c", "pass"], "true": ["true"]}
        for name, words in CALLS.items():
            subjects[name] = [vv, *words]
            subjects[f"{name}, by click"] = [*by_click, *words]
        subjects["contrib/vv-heartbeat.sh"] = [str(ROOT / "contrib" / "vv-heartbeat.sh"), "nightly"]
        if curl := shutil.which("curl"):
            subjects["curl, a POST to a local server"] = [curl, "-s", "-d", "x", address]
        (Path(state) / "journal").mkdir()
        rows = compare({name: run(command, state) for name, command in subjects.items()}, REPEAT, rounds=ROUNDS)
    print(table(rows, title="A command, from its start to its end", unit="ms"))
    bare = rows[0].median
    for row in rows:
        if row.name in CALLS:
            print(f"{row.name}: {(row.median - bare) * 1e3:.1f} ms over the bare interpreter (goal: {GOAL_MS})")


def run(command: list[str], state: str) -> Callable[[], object]:
    """A call that runs the command and waits for its end."""
    environ = os.environ | {"VV_STATE_DIR": state}
    return lambda: subprocess.run(
        command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Answering:
    """A local server that answers every POST; yields its address."""

    def __enter__(self) -> str:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()


if __name__ == "__main__":
    main()
