import json

import pytest

from vv_core.common.flatjson import encode


def test_an_object_is_written_as_json_reads_it() -> None:
    record = {
        "text": 'a"b\\c\n\x00\x1f é 日 😀 \u2028',
        'key "x"': "",
        "int": -(10**20),
        "float": 1e-7,
        "large": 1.7e308,
        "yes": True,
        "no": False,
        "inner": {"a": {"b": 1}},
        "empty": {},
    }

    text = encode(record)

    assert json.loads(text) == record
    assert "\n" not in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None, [1], b"x", object()])
def test_what_is_not_for_events_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode({"a": value})
