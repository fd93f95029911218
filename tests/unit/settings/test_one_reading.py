"""One reading of a setting: SDK and exporter understand the same, whatever an editor or a shell put around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vv_core import quarantine, signing
from vv_core.common import environment
from vv_exporter.settings import Settings, SettingsError, load

AROUND = st.text(st.sampled_from(" \t\r\n\x0b\x0c\x1c\x85\xa0\u2003\u2028"), max_size=3)
QUOTE = st.sampled_from(["", '"', "'", "\ufeff"])
WORD = st.text(st.sampled_from("av~.-_ \"'#=;$&\\\ufeff\udc80é,:%"), min_size=1, max_size=6)
SEGMENTS = st.lists(st.one_of(st.sampled_from(["srv", "..", ".", "", "~", "a b"]), WORD), max_size=4)
PATHS = st.one_of(
    SEGMENTS.map("/".join),
    SEGMENTS.map(lambda parts: "/" + "/".join(parts)),
    SEGMENTS.map(lambda parts: "~/" + "/".join(parts)),
    st.just(""),
    st.just("/srv/" + "x" * 9000),
)
VALUES = st.one_of(
    PATHS,
    st.sampled_from(
        ["3", "90s", "1h30m", "256MB", "10GiB", "64000", "0", "1.5TB", "-1", "07", "९", "1e3", "5,0", "edge-7"]
    ),
)
GIVEN = st.builds(lambda a, q, value, p, b: a + q + value + p + b, AROUND, QUOTE, VALUES, QUOTE, AROUND)

FOLDERS = {
    "VV_STATE_DIR": (environment.state_dir, lambda settings: settings.state_dir),
    "VV_LOG_DIR": (environment.log_dir, lambda settings: settings.logs),
    "VIDEO_STORAGE_ROOT": (
        lambda environ: environment.path("VIDEO_STORAGE_ROOT", environ) or None,
        lambda settings: settings.video_storage_root,
    ),
}
OTHERS = {
    "VV_JOURNAL_MAX": (environment.journal_max, lambda settings: settings.journal_max),
    "VV_LOG_MAX": (environment.log_max, lambda settings: settings.log_max or 0),
    "VV_DEVICE_ID": (environment.device_id, lambda settings: settings.device_id),
    "MAX_PROCESSING_TIME_SCAN_VIDEO": (
        lambda environ: environment.stage_limit("scan_video", environ),
        lambda settings: settings.stages["scan_video"].limit if "scan_video" in settings.stages else None,
    ),
}
BASE = {"VV_STATE_DIR": "/srv/vv"}


def exporters(environ: dict[str, str]) -> Settings | None:
    """None where the exporter refuses it."""
    try:
        return load(environ)
    except SettingsError:
        return None


@pytest.mark.parametrize("name", FOLDERS)
@given(value=GIVEN)
@example(value="/srv/../vv")  # behind a link it is another folder
@example(value="~/vv\r")
@example(value="//srv//vv/./x/")
@example(value="   ")
def test_a_folder_is_the_same_to_both(name: str, value: str) -> None:
    environ = {**BASE, name: value}
    settings = exporters(environ)
    of_sdk, of_exporter = FOLDERS[name]
    if settings is not None:
        expected = of_exporter(settings)
        assert of_sdk(environ) == (None if expected is None else "/" + str(expected).lstrip("/"))


@pytest.mark.parametrize("name", OTHERS)
@given(value=GIVEN)
def test_a_value_is_the_same_to_both(name: str, value: str) -> None:
    environ = {**BASE, name: value}
    settings = exporters(environ)
    of_sdk, of_exporter = OTHERS[name]
    if settings is not None and (name != "VV_DEVICE_ID" or value.strip()):  # by default one has the short name
        assert of_sdk(environ) == of_exporter(settings)


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("value", [" /srv/vv\r", "~/vv ", "/srv/../vv", "//srv//vv/./x/", "/srv/a b'\"", "/\udc80"])
def test_the_exporter_takes_folders_of_every_kind(name: str, value: str) -> None:
    """Or the comparison would say nothing."""
    assert exporters({**BASE, name: value}) is not None


@given(around=AROUND, behind=AROUND, number=st.integers(1, 10**8))
def test_a_number_of_attempts_with_blanks_around_it_counts(around: str, behind: str, number: int) -> None:
    assert environment.max_attempts({"VV_MAX_ATTEMPTS": f"{around}{number}{behind}"}) == number


@pytest.mark.parametrize("ending", ["", "\r", " ", "\t\r\n"])
def test_what_is_set_aside_lies_where_the_exporter_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", "~/videos" + ending)
    monkeypatch.delenv("VV_CONFIG", raising=False)
    (tmp_path / "videos" / "input").mkdir(parents=True)
    video = tmp_path / "videos" / "input" / "a.mp4"
    video.write_bytes(b"x")

    moved = quarantine.move_to_corrupted(video, "broken", "no frames")

    storage = load(dict(os.environ)).video_storage_root
    assert storage is not None
    assert moved.parent == storage / "corrupted"


@pytest.mark.parametrize("ending", ["", "\r", " "])
def test_a_key_is_found_behind_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VV_HMAC_KEY_FILE", f"~/k1.key{ending}")
    monkeypatch.setenv("VV_HMAC_KEYS_DIR", f"~/{ending}")
    (tmp_path / "k1.key").write_bytes(b"k" * 64)
    (tmp_path / "k1.key").chmod(0o600)

    assert signing.verify_signature(signing.sign_payload({"a": 1}))


@pytest.mark.parametrize("ending", ["", "\r", " ", "\t"])
@pytest.mark.parametrize("start", ["", " ", "\ufeff"])
def test_a_secrets_file_is_read_without_what_editors_add(tmp_path: Path, start: str, ending: str) -> None:
    (tmp_path / "secret").write_text(f"{start}hunter2{ending}\n", encoding="utf-8")
    environ = {**BASE, "DVR_URL": "rtsp://u@h/a", "DVR_PASSWORD_FILE": f" {tmp_path / 'secret'}{ending}"}

    assert load(environ).dvrs["dvr"].password.value == "hunter2"


@pytest.mark.parametrize("ending", ["", "\r", " "])
def test_the_configuration_is_found_behind_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "vv.yml").write_text("settings: {VV_DEVICE_ID: edge-9}\n", encoding="utf-8-sig")

    assert load({"VV_CONFIG": f"~/vv.yml{ending}"}).device_id == "edge-9"


@pytest.mark.parametrize("blank", ["", " ", "\r", "\t "])
def test_what_is_blank_in_the_environment_leaves_the_files_word(tmp_path: Path, blank: str) -> None:
    (tmp_path / "vv.yml").write_text("settings: {VV_DEVICE_ID: edge-9}\n")

    assert load({"VV_CONFIG": str(tmp_path / "vv.yml"), "VV_DEVICE_ID": blank}).device_id == "edge-9"


@pytest.mark.parametrize("name", ["VV_STATE_DIR", "SLACK_WEBHOOK_URL_FILE", "VV_HMAC_KEY_FILE"])
@pytest.mark.parametrize(("before", "behind"), [("\ufeff", ""), ("", " "), ('"', ""), ("'", ""), ("\r", "")])
def test_a_name_that_nobody_reads_for_what_is_around_it_is_told(name: str, before: str, behind: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({before + name + behind: "/srv/vv"})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: its name begins or ends with a ")
