"""Which containers the self-monitor looks after."""

from pathlib import Path

import pytest

from vv_exporter.containers.records import ContainerRecord
from vv_exporter.settings import Settings, SettingsError, load
from vv_exporter.supervisor.selection import image_name, must_run, own_container, supervised

ID = "4f" * 32


def settings(folder: Path, config: str) -> Settings:
    (folder / "vv.yml").write_text(config)
    return load({"VV_CONFIG": str(folder / "vv.yml"), "VV_STATE_DIR": str(folder)})


def record(**more: object) -> ContainerRecord:
    values: dict[str, object] = {"name": "web", "id": ID, "image": "web:1"}
    return ContainerRecord(**(values | more))  # type: ignore[arg-type]


def test_nothing_is_selected_by_itself(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "containers: {essential: [web]}")

    assert not supervised(record(), chosen, "")


@pytest.mark.parametrize(
    ("more", "config"),
    [
        ({"opted": "true"}, "{}"),
        ({}, "self_monitor: {containers: [web]}"),
        ({"project": "vv"}, "self_monitor: {projects: [vv]}"),
    ],
)
def test_it_is_selected_by_label_name_or_project(tmp_path: Path, more: dict[str, str], config: str) -> None:
    chosen = settings(tmp_path, config)

    assert supervised(record(**more), chosen, "")
    assert not supervised(record(**more | {"opted": "false"}), chosen, "")
    assert not supervised(record(**more, auto_remove=True), chosen, "")
    assert not supervised(record(**more), chosen, ID)
    assert not supervised(record(**more | {"image": "registry:5000/prom/prometheus:v3@sha256:00"}), chosen, "")


def test_what_is_listed_by_name_must_run(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "containers: {essential: [a], expected: [b]}\nself_monitor: {containers: [c]}")

    assert [must_run(record(name=name), chosen) for name in "abcd"] == [True, True, True, False]


def test_the_name_of_an_image_is_the_last_part_of_it() -> None:
    assert image_name("grafana/grafana") == "grafana"
    assert image_name("registry:5000/a/b:v1@sha256:00") == "b"
    assert image_name("sha256:00") == "sha256"


def test_the_own_container_is_found_in_its_mounts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:21 / / rw - overlay overlay rw\n"
        f"30 22 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
    )

    assert own_container(mounts) == ID
    assert own_container(tmp_path / "none") == ""
    mounts.write_text("22 1 0:21 / / rw - overlay overlay rw\n")
    assert own_container(mounts) == ""


def test_a_window_that_cannot_hold_all_restarts_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"the back-offs of 5 restarts add up to 155 s or more"):
        load({"SELF_MONITOR_WINDOW": "155"})
    assert load({"SELF_MONITOR_WINDOW": "156"}).restart_window == 156


def test_what_is_not_chosen_is_left_for_each_reason_by_itself(tmp_path: Path) -> None:
    chosen = settings(tmp_path, "self_monitor: {containers: [web]}")

    assert supervised(record(), chosen, "") is True
    assert supervised(record(), chosen, "4f4e") is True
    assert supervised(record(), chosen, "4f4f") is False
    assert supervised(record(), chosen, "", "web:1") is False
    assert supervised(record(), chosen, "", "web:2") is True
    assert supervised(record(image=""), chosen, "", "") is True
    assert supervised(record(name="other"), chosen, "") is False
    assert supervised(record(name="other", project="web"), chosen, "") is False
    assert supervised(record(opted="x"), chosen, "") is True


def test_outside_a_container_there_is_no_own_one(tmp_path: Path) -> None:
    assert own_container(tmp_path / "absent") == ""
    (tmp_path / "mountinfo").write_text("22 1 0:1 / / rw - ext4 /dev/vda rw\n")
    assert own_container(tmp_path / "mountinfo") == ""
