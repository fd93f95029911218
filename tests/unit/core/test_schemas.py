"""Validation: what is valid, what is told of what is not, and that no input gets past it or brings it down."""

import contextlib
import json
import logging
import math
import os
import pickle
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.anything import Endless
from tests.unit.core.conftest import State
from vv_core import schemas
from vv_core.schemas import MAX_DEPTH, SchemaError, SchemaValidationError, check_schema, validate_schema
from vv_core.stages import stage
from vv_core.testing import captured

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/schemas/analytic.schema.json",
    "type": "object",
    "required": ["boxes"],
    "properties": {
        "at": {"type": "string", "format": "date-time"},
        "boxes": {"type": "array", "items": {"$ref": "#/$defs/box"}},
    },
    "$defs": {"box": {"type": "object", "properties": {"x": {"type": "number", "minimum": 0}, "a/b~c": False}}},
}
ANYTHING: dict[str, Any] = {}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    file = tmp_path / "analytic.schema.json"
    file.write_text(json.dumps(SCHEMA))
    return file


def failure(data: object, schema: Any = SCHEMA) -> SchemaValidationError:
    with pytest.raises(SchemaValidationError) as caught:
        check_schema(data, schema)
    return caught.value


def nested(depth: int) -> Any:
    """Lists within lists; a depth of 0 is a number."""
    data: Any = 1
    for _ in range(depth):
        data = [data]
    return data


class TestValid:
    @pytest.mark.parametrize(
        "data",
        [
            {"boxes": [{"x": 1.5}, {"x": 0}]},
            '{"boxes": []}',
            b'{"boxes": [{"x": 1e2}]}',
            bytearray(b'{"boxes": []}'),
            OrderedDict(boxes=[{"x": 1}]),
            {"boxes": ({"x": 1},)},
        ],
    )
    def test_objects_and_text_are_taken(self, data: object, schema: Path) -> None:
        assert validate_schema(data, schema)
        assert validate_schema(data, str(schema))
        assert validate_schema(data, SCHEMA)

    def test_a_number_of_another_library_is_a_number(self) -> None:
        class Float64(float):  # as NumPy's
            pass

        assert validate_schema({"boxes": [{"x": Float64(0.5)}]}, SCHEMA)
        assert failure({"boxes": [{"x": Float64(-0.5)}]}).path == "/boxes/0/x"
        assert "not JSON compliant" in failure({"boxes": [{"x": Float64("nan")}]}).message

    def test_each_is_counted(self, schema: Path) -> None:
        with captured() as events:
            validate_schema({"boxes": []}, schema, component="scan_video.py")
            check_schema({"boxes": []}, SCHEMA, component="scan_video.py")

        event = {"v": 1, "type": "schema.validated", "component": "scan_video.py", "schema": "analytic"}
        assert events == [{**event, "result": "valid"}] * 2


class TestInvalid:
    def test_where_and_why_and_an_excerpt_are_told(self) -> None:
        error = failure({"boxes": [{"x": 1}, {"x": -1}]})

        assert (error.schema, error.path, error.excerpt) == ("analytic", "/boxes/1/x", "-1")
        assert error.message == "-1 is less than the minimum of 0"
        assert str(error) == "analytic: /boxes/1/x: -1 is less than the minimum of 0"

    def test_the_path_is_a_json_pointer(self) -> None:
        assert failure({"boxes": [{"a/b~c": 1}]}).path == "/boxes/0/a~1b~0c"

    def test_the_whole_document_may_be_wrong(self) -> None:
        error = failure("[]")

        assert (error.path, str(error)) == ("", 'analytic: (the whole document): [] is not of type "object"')

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"boxes": [], "boxes": [1]}', "is no JSON: duplicate key 'boxes'"),
            ('{"boxes": [{"x": NaN}]}', "is no JSON: NaN is no number"),
            ('{"boxes": [], "n": -Infinity}', "is no JSON: -Infinity is no number"),
            ('{"boxes": [], "n": 1e999}', "is no JSON: Out of range float values are not JSON compliant"),
            ('{"boxes": [}', "is no JSON: Expecting value: line 1 column 12 (char 11)"),
            ('{"boxes": []} {}', "is no JSON: Extra data"),
            ("", "is no JSON: Expecting value"),
            (b'{"boxes": ["\xff"]}', "is no UTF-8: invalid start byte at byte 12"),
            ('{"boxes": [], "n": ' + "1" * 5000 + "}", "is no JSON: Exceeds the limit"),
            ("[" * 100_000, "is nested too deeply"),
            ("[" * 200 + "]" * 200, "is nested more than 128 deep"),
        ],
    )
    def test_text_that_is_no_json(self, text: str | bytes, message: str) -> None:
        assert failure(text, ANYTHING).message.startswith(message)

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_no_number_that_json_has_not(self, number: float) -> None:
        assert "not JSON compliant" in failure({"boxes": [], "unknown": [{"n": number}]}).message

    def test_a_key_that_utf8_cannot_write_is_refused(self) -> None:
        assert failure({"\ud800": 1}, ANYTHING).message == "is no JSON: it has text that UTF-8 cannot write"

    @pytest.mark.parametrize("value", [b"x", {1}, 1j, object()])
    def test_no_object_that_json_has_not(self, value: object) -> None:
        assert "is not JSON serializable" in failure({"a": value}, ANYTHING).message

    def test_keys_that_become_one_in_json_are_refused(self) -> None:
        assert failure({"1": 0, 1: 1}, ANYTHING).message == "is no JSON: duplicate key '1'"

    def test_nesting_is_bounded_exactly(self) -> None:
        assert validate_schema(nested(MAX_DEPTH), ANYTHING)
        assert not validate_schema(nested(MAX_DEPTH + 1), ANYTHING)

    def test_neither_cycles_nor_abysses_exhaust_the_stack(self) -> None:
        cycle: list[Any] = []
        cycle.append(cycle)

        recursive = {"items": {"$ref": "#"}}
        assert failure(cycle, recursive).message == "is no JSON: Circular reference detected"
        assert failure(nested(200_000), recursive).message == "is nested too deeply"

    def test_what_is_told_is_short_safe_and_keeps_both_ends(self) -> None:
        huge = "\x1b[31m\u202e\n" + "x" * 5_000_000
        error = failure({"boxes": huge})

        assert error.message.endswith('is not of type "array"')
        for text in (error.message, error.excerpt, str(error)):
            assert len(text.encode()) < 1000
            assert text.isprintable()
        assert error.excerpt.startswith('"\\u001b[31m')
        assert len(failure('{"boxes": ' + "y" * 1_000_000).excerpt) < 500

    def test_a_format_is_checked_in_every_draft(self) -> None:
        assert failure({"boxes": [], "at": "yesterday"}).path == "/at"

    def test_the_error_passes_between_processes(self) -> None:
        error = pickle.loads(pickle.dumps(failure({"boxes": [{"x": -1}]})))

        assert (error.path, str(error)) == ("/boxes/0/x", "analytic: /boxes/0/x: -1 is less than the minimum of 0")


class TestTelling:
    def test_a_failure_becomes_an_event_with_all_that_is_known(self, schema: Path) -> None:
        with captured() as events:
            result = validate_schema(
                {"boxes": [{"x": -1}]}, schema, component="scan_video.py", video="a.mp4", video_sha256="ab"
            )

        assert not result
        assert events == [
            {
                "v": 1,
                "type": "schema.validated",
                "component": "scan_video.py",
                "schema": "analytic",
                "result": "invalid",
                "error": "-1 is less than the minimum of 0",
                "path": "/boxes/0/x",
                "excerpt": "-1",
                "video": "a.mp4",
                "video_sha256": "ab",
            }
        ]

    def test_component_and_video_are_those_of_the_stage_around(self, schema: Path) -> None:
        with (
            captured() as events,
            stage("scan_video", video="a.mp4", component="scan_video.py") as run,
            stage("inner", component="inner.py"),
        ):
            run.note(video_sha256="ab")
            validate_schema("[]", schema)

        (event,) = events.of("schema.validated")
        assert (event["component"], event["video"], event["video_sha256"]) == ("inner.py", "a.mp4", "ab")

    def test_a_failure_is_logged(self, schema: Path, caplog: pytest.LogCaptureFixture) -> None:
        validate_schema({"boxes": [{"x": -1}]}, schema, video="a.mp4")

        (record,) = caplog.records
        assert (record.name, record.levelno) == ("vv_core.schemas", logging.ERROR)
        assert record.getMessage() == (
            "schema validation failed: analytic: /boxes/0/x: -1 is less than the minimum of 0; "
            "the value begins: -1; video: a.mp4"
        )

    def test_a_stage_that_fails_with_it_does_not_count_it_as_an_exception_too(self, schema: Path) -> None:
        with captured() as events, pytest.raises(SchemaValidationError), stage("scan_video"):
            check_schema("[]", schema)

        (finished,) = events.of("stage.finished")
        assert finished["outcome"] == "failure"
        assert "exception" not in finished

    def test_it_can_be_told_in_any_state_of_the_journal(self, state: State, schema: Path) -> None:
        state.folder.write_text("no folder")

        assert not validate_schema("[]", schema)
        assert validate_schema('{"boxes": []}', schema)


class TestSchema:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "is no JSON"),
            ('{"type": "object", "type": "array"}', "duplicate key"),
            ('{"type": "nope"}', '"nope" is not valid'),
            ('{"pattern": "("}', "regex"),
            ("[]", "is not of types"),
            ('"text"', ""),
            ('{"$ref": "#/nowhere"}', "nowhere"),
            ('{"$ref": "other.schema.json"}', "other.schema.json"),
            ('{"$ref": "file:///etc/hostname"}', "Retrieval is disabled"),
            ('{"$ref": "http://127.0.0.1:9/x"}', "Retrieval is disabled"),
            ('{"$schema": "http://127.0.0.1:9/x"}', "Unknown meta-schema"),
            ('{"not": ' * 2000 + "{}" + "}" * 2000, "nested"),
            ('{"not": ' * 200 + "{}" + "}" * 200, "nested more than"),
        ],
    )
    def test_one_that_cannot_be_used_is_an_error_and_never_valid(
        self, tmp_path: Path, content: str, message: str
    ) -> None:
        file = tmp_path / "analytic.schema.json"
        file.write_text(content)

        with captured() as events, pytest.raises(SchemaError) as caught:
            validate_schema("{}", file)

        assert str(caught.value).startswith("schema analytic: ")
        assert message in str(caught.value)
        assert len(str(caught.value)) < 700
        assert events == []

    def test_one_that_is_missing_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SchemaError, match=r"schema gone: .*gone\.json cannot be read: No such file"):
            validate_schema("{}", tmp_path / "gone.json")

    @pytest.mark.parametrize("schema", [[], 1, None, {"type": {1}}, {"a": math.nan}])
    def test_what_is_no_schema_at_all_is_an_error(self, schema: Any) -> None:
        with pytest.raises(SchemaError, match="neither a path nor a JSON object"):
            validate_schema("{}", schema)

    def test_a_change_of_the_file_is_noticed(self, schema: Path) -> None:
        before = validate_schema("[]", schema)
        schema.write_text('{"type": "array"}')
        after = validate_schema("[]", schema)

        assert (before, after) == (False, True)

    def test_a_change_of_the_object_is_noticed(self) -> None:
        schema = {"type": "object"}
        before = validate_schema("[]", schema)
        schema["type"] = "array"

        assert (before, validate_schema("[]", schema)) == (False, True)

    def test_it_is_compiled_once(self, schema: Path) -> None:
        assert schemas._compiled_schema(schema) is schemas._compiled_schema(str(schema))
        assert schemas._compiled_schema(SCHEMA) is schemas._compiled_schema(json.loads(json.dumps(SCHEMA)))

    def test_a_mapping_of_another_type_is_taken(self) -> None:
        assert validate_schema("[]", OrderedDict(type="array"))
        assert not validate_schema("{}", OrderedDict(type="array"))

    def test_compiled_schemas_do_not_pile_up(self) -> None:
        for number in range(200):
            validate_schema("1", {"const": number})

        assert len(schemas._by_content) == schemas._CACHED

    @pytest.mark.parametrize(
        ("schema", "name"),
        [
            ({"$id": "https://example.com/a/logline.schema.json"}, "logline"),
            ({"$id": "https://example.com/a/logline#"}, "logline"),
            ({"id": "urn:x", "title": "A title"}, "urn:x"),
            ({"title": "A title"}, "A title"),
            ({"title": 7}, "unnamed"),
            ({}, "unnamed"),
        ],
    )
    def test_its_name(self, schema: dict[str, Any], name: str) -> None:
        assert schemas._schema_title(schema) == name

    def test_the_name_of_a_file_is_safe_text(self, tmp_path: Path) -> None:
        file = tmp_path / os.fsdecode(b"s\xff\n.schema.json")
        file.write_text("{}")

        with captured() as events:
            validate_schema("{}", file)

        assert events[0]["schema"] == "s? "

    @pytest.mark.parametrize(
        ("draft", "name"),
        [
            ("http://json-schema.org/draft-04/schema#", "definitions"),
            ("http://json-schema.org/draft-06/schema#", "definitions"),
            ("http://json-schema.org/draft-07/schema#", "definitions"),
            ("https://json-schema.org/draft/2019-09/schema", "$defs"),
            ("https://json-schema.org/draft/2020-12/schema", "$defs"),
        ],
    )
    def test_every_draft(self, draft: str, name: str) -> None:
        schema = {"$schema": draft, name: {"n": {"type": "integer"}}, "items": {"$ref": f"#/{name}/n"}}

        assert validate_schema([1, 2], schema)
        assert not validate_schema([1, "2"], schema)

    def test_a_pattern_cannot_be_made_to_run_for_ever(self) -> None:
        assert not validate_schema("a" * 50_000 + "!", {"type": "string", "pattern": "^(a+)+(?=b)$"})

    def test_many_threads_validate_at_once(self, tmp_path: Path) -> None:
        results: list[bool] = []
        files = [tmp_path / f"{number}.json" for number in range(5)]
        for file in files:
            file.write_text('{"type": "integer"}')

        def work(number: int) -> None:
            for _ in range(50):
                results.append(validate_schema(number, files[number % 5]))
                results.append(not validate_schema("x", {"const": number}))

        threads = [threading.Thread(target=work, args=[number]) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert results == [True] * 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=200)


class TestAnyInput:
    @SLOW
    @given(JSON)
    @example({"n": 10**400})
    @example(["\ud800"])
    def test_all_json_is_json_as_object_and_as_text(self, data: Any) -> None:
        text = json.dumps(data)

        assert validate_schema(data, ANYTHING) or isinstance(data, str)
        assert validate_schema(text, ANYTHING)

    @SLOW
    @given(st.text() | st.binary())
    def test_any_text_is_told_to_be_valid_only_if_it_is_json(self, text: str | bytes) -> None:
        valid = validate_schema(text, SCHEMA)

        if valid:
            assert isinstance(json.loads(text), dict)

    @SLOW
    @given(JSON, JSON)
    def test_any_schema_is_used_or_refused(self, schema: Any, data: Any) -> None:
        for candidate in (schema, {"properties": {"a": schema}, "items": schema, "not": schema}):
            with contextlib.suppress(SchemaError):
                validate_schema(data, candidate if isinstance(candidate, dict) else {"type": candidate})

    @SLOW
    @given(st.recursive(st.floats() | st.text() | st.binary(), lambda inner: st.lists(inner) | st.sets(st.integers())))
    def test_any_object_passes_or_is_told(self, data: Any) -> None:
        with contextlib.suppress(SchemaValidationError):
            check_schema(data, ANYTHING)
            json.loads(data if isinstance(data, str | bytes) else json.dumps(data, allow_nan=False))


def test_a_schema_without_an_end_is_refused() -> None:
    with pytest.raises(SchemaError, match="more than 10000 entries"):
        check_schema({}, Endless())
