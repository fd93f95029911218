"""A healthy device tells nobody of anything. Here for a minute; `VV_HEALTHY_SECONDS=3600` is an hour."""

import os
from pathlib import Path

import pytest

from tests.e2e.healthy_hour import watch
from tests.support.engine import Engine
from tests.support.servers import Programs

pytestmark = [pytest.mark.prometheus, pytest.mark.rtsp, pytest.mark.docker]

SECONDS = float(os.environ.get("VV_HEALTHY_SECONDS", "60"))


@pytest.mark.timeout(SECONDS + 300)
def test_a_healthy_device_tells_nobody_of_anything(
    programs: Programs, rtsp_tools: None, docker_engine: Engine, tmp_path: Path
) -> None:
    report = watch(tmp_path, SECONDS)

    assert report.is_silent, str(report)
    assert report.beats >= 1
    assert report.videos > 10
    assert report.frames > 100
    assert report.containers == docker_engine.private
