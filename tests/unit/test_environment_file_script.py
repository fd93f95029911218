"""`make install` over an older version: what its file of settings gets, and what stays as the operator wrote it."""

import subprocess
from pathlib import Path

import pytest

from vv_exporter.settings.environmentfile import parse_environment_file

CHECKOUT = Path(__file__).parents[2]


def install(file: Path) -> str:
    script = CHECKOUT / "deploy" / "environment-file.sh"
    subprocess.run([script, file, CHECKOUT / ".env.example"], check=True, timeout=60)
    return file.read_text()


def test_a_first_installation_has_the_example(tmp_path: Path) -> None:
    text = install(tmp_path / "vv.env")

    assert text.startswith((CHECKOUT / ".env.example").read_text())
    assert parse_environment_file(text)["VV_DEPLOYMENT"] == "systemd"
    assert (tmp_path / "vv.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "written",
    [
        "",
        "VV_DEVICE_ID=edge-7\n",
        "VV_DEVICE_ID=edge-7",
        "VV_DEVICE_ID=edge-7\\",
        "VV_DEVICE_ID=edge-7 # mine\n#VV_DEPLOYMENT=compose\n; VV_DEPLOYMENT=up\n",
        "MY_VV_DEPLOYMENT=compose\n\tVV_DEVICE_ID=edge-7\n\n\n",
    ],
)
def test_an_older_file_keeps_its_lines_and_gets_the_deployment_once(tmp_path: Path, written: str) -> None:
    file = tmp_path / "vv.env"
    file.write_text(written)
    file.chmod(0o640)

    text = install(file)

    assert text.startswith(written)
    before = {name: value.rstrip("\\") for name, value in parse_environment_file(written).items()}
    assert parse_environment_file(text) == before | {"VV_DEPLOYMENT": "systemd"}
    assert file.stat().st_mode & 0o777 == 0o640
    assert install(file) == text


@pytest.mark.parametrize("written", ["VV_DEPLOYMENT=compose\n", "  VV_DEPLOYMENT = up\n", "VV_DEPLOYMENT=\n"])
def test_what_the_operator_said_of_the_deployment_stands(tmp_path: Path, written: str) -> None:
    file = tmp_path / "vv.env"
    file.write_text(written)

    assert install(file) == written
