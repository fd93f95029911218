"""The writers that docs/journal.md shows work as they stand."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.core.conftest import State
from vv_exporter.journal.events import AlertRaised, Heartbeat, StageStarted, WriterStarted, decode
from vv_exporter.journal.files import opened, scan, try_lock

SPEC = Path(__file__).parents[3] / "docs" / "journal.md"


def test_the_shell_writer(state: State) -> None:
    state.journal.mkdir(parents=True)
    function = re.findall(r"```sh\n(.*?)```", SPEC.read_text(), re.DOTALL)[0]
    script = (
        function
        + """
        vv_event heartbeat '"job":"backup"'
        vv_event alert '"id":"1","level":"ERROR","title":"Backup failed"'
    """
    )

    subprocess.run(["sh", "-eu", "-c", script, "backup.sh"], check=True, env={"VV_STATE_DIR": str(state.folder)})

    events = [decode(file.read_bytes()) for file in state.files()]
    assert {Heartbeat, AlertRaised} == {type(event) for event in events}
    assert {"backup.sh"} == {event.component for event in events}
    assert 2 == len(scan(state.journal)) == len(list(state.journal.iterdir()))
    assert state.files()[0].stat().st_mode & 0o777 == 0o640


C_HEADERS = "fcntl stdio time unistd sys/file sys/stat"
C_MAIN = """
int main(int argc, char **argv) {
    if (vv_open(argv[1], "camera") < 0) return 1;
    if (vv_event("heartbeat", "\\"job\\":\\"backup\\"") < 0) return 2;
    if (vv_event("stage.started", "\\"run\\":\\"1\\",\\"stage\\":\\"encode\\"") < 0) return 3;
    puts("begun");
    fflush(stdout);
    return getchar();
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler: `cc` is not on PATH")
def test_the_c_writer(state: State, tmp_path: Path) -> None:
    state.journal.mkdir(parents=True)
    functions = re.findall(r"```c\n(.*?)```", SPEC.read_text(), re.DOTALL)[0]
    includes = "".join(f"#include <{name}.h>\n" for name in C_HEADERS.split())
    (tmp_path / "camera.c").write_text(includes + functions + C_MAIN)
    warnings = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]
    subprocess.run(["cc", *warnings, "-o", "camera", "camera.c"], cwd=tmp_path, check=True)

    with subprocess.Popen(
        [tmp_path / "camera", state.journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as camera:
        assert camera.stdout is not None
        assert camera.stdout.readline() == b"begun\n"
        (file,) = state.files()
        alive = is_held(file)
        camera.kill()

    events = [decode(line) for line in file.read_bytes().splitlines()]
    assert [type(event) for event in events] == [WriterStarted, Heartbeat, StageStarted]
    assert events[0].component == "camera"
    assert (alive, is_held(file)) == (True, False)
    assert len(scan(state.journal)) == 1


def is_held(file: Path) -> bool:
    """Whether a writer lives."""
    with opened(file) as descriptor:
        return not try_lock(descriptor)
