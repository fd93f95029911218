"""The writers that docs/journal.md shows work as they stand."""

import re
import subprocess
from pathlib import Path

from tests.unit.core.conftest import State
from vv_exporter.journal.events import AlertRaised, Heartbeat, decode
from vv_exporter.journal.files import scan

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
