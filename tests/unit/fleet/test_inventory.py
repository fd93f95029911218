"""What an inventory may say, and that each slip in it is named."""

from pathlib import Path
from typing import Any

import pytest

from vv_exporter.fleet.inventory import Device, parse, read
from vv_exporter.settings import SettingsError


def test_devices_have_a_site_a_machine_and_an_end() -> None:
    document = {
        "devices": {
            "north-1": {"site": "São João", "machine": "5f0c63c1a9d2"},
            "north-2": None,
            "old": {"retired": True},
        }
    }

    assert parse(document) == [
        Device("north-1", "São João", "5f0c63c1a9d2"),
        Device("north-2"),
        Device("old", retired=True),
    ]


@pytest.mark.parametrize(
    ("devices", "named"),
    [
        ({"north 1": None}, "'north 1' is no name"),
        ({7: None}, "7 is no name"),
        ({"a/b": None}, "'a/b' is no name"),
        ({"../x": None}, "'../x' is no name"),
        ({"grafana": None}, "'grafana' is no name"),
        ({"x" * 64: None}, "is no name"),
        ({"a": "Porto"}, "a: must be {site: …}"),
        ({"a": {"sit": "Porto"}}, "a: sit is not known"),
        ({"a": {"site": 'x"'}}, "a: site"),
        ({"a": {"site": "x\ny"}}, "a: site"),
        ({"a": {"site": "$1"}}, "a: site"),
        ({"a": {"machine": 123}}, "a: machine: 123 cannot be used; in quotes"),
        ({"a": {"retired": "yes"}}, "a: retired: must be true or false"),
    ],
)
def test_what_cannot_be_used_is_named(devices: dict[Any, Any], named: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse({"devices": {"good": None, **devices}})

    (problem,) = raised.value.problems
    assert named in problem


def test_all_slips_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        parse({"devices": {"a b": None, "c": {"site": 1}, "d": {"x": 1}}})

    assert len(raised.value.problems) == 3


@pytest.mark.parametrize("document", [None, [], {}, {"devices": []}, {"devices": {}, "more": 1}, "devices"])
def test_a_document_of_another_shape_is_refused(document: Any) -> None:
    with pytest.raises(SettingsError):
        parse(document)


@pytest.mark.parametrize("text", [b"devices: {a: [", b"\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "inventory.yml"
    file.write_bytes(text)

    with pytest.raises(SettingsError, match=r"inventory\.yml: cannot be read"):
        read(file)
    with pytest.raises(SettingsError, match=r"missing\.yml: cannot be read"):
        read(tmp_path / "missing.yml")
