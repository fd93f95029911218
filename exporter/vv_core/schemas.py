"""JSON that a stage made, validated against its JSON Schema; each validation is counted, each failure is told.

if not validate_schema(analytic, "schemas/analytic.schema.json", video=video):
    move_to_corrupted(video, "schema_validation_error", "…", component="scan_video.py")

Drafts 4, 6, 7, 2019-09 and 2020-12 in full (the schema's ``$schema`` decides, 2020-12 without it), by
``jsonschema-rs``. ``format`` is checked in every draft. A schema stands alone: it may refer to its own parts and to the
drafts' meta-schemas, and nothing is fetched from the network or from other files.
"""

from __future__ import annotations

import os
from itertools import islice
from threading import Lock

from vv_core import _reported, _subject
from vv_core.common import journals, sdklog, texts
from vv_core.common.flatjson import Fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Never

    from jsonschema_rs import Validator

    Schema = str | os.PathLike[str] | Mapping[str, Any]

MAX_DEPTH = 128
"""How deep objects and arrays may be nested, in data and in schemas. RFC 8259, section 9, allows such a limit."""

MAX_EXCERPT = 500
"""Longest excerpt of invalid data, in bytes."""

_MAX_NAME, _MAX_MESSAGE = 128, 500
_MAX_ENTRIES = 10_000  # of a schema itself
_CACHED = 64


class SchemaError(Exception):
    """The schema itself cannot be used: it is missing, is no JSON, or is no JSON Schema. Says nothing of the data."""


class SchemaValidationError(ValueError):
    """The data does not satisfy the schema.

    `schema` is the schema's name, `path` a JSON Pointer (RFC 6901) to the offending value, `message` what is wrong
    with it, `excerpt` how that value begins. All are short and in one line.
    """

    def __init__(self, schema: str, path: str, message: str, excerpt: str = "") -> None:
        super().__init__(schema, path, message, excerpt)
        self.schema, self.path, self.message, self.excerpt = schema, path, message, excerpt

    def __str__(self) -> str:
        return f"{self.schema}: {self.path or '(the whole document)'}: {self.message}"


class _Compiled:
    """A schema that is ready for use."""

    def __init__(self, name: str, validator: Validator) -> None:
        self.name = name
        self.validator = validator
        self.valid = Fixed(schema=name, result="valid")


_by_path: dict[str, tuple[tuple[int, ...], _Compiled]] = {}
_by_content: dict[bytes, _Compiled] = {}
_lock = Lock()
_json_itself: Validator | None = None


def validate_schema(
    data: object,
    schema: Schema,
    *,
    component: str | None = None,
    video: str | bytes | os.PathLike[str] | None = None,
    video_sha256: str | None = None,
) -> bool:
    """Whether `data` satisfies `schema`.

    `data` is JSON text (`str`, or UTF-8 in `bytes`), or what ``json.loads`` would make of such a text. `schema` is the
    path of a file or the schema itself; it is compiled once, and again when the file changes. Its name, by which it
    is counted, is the file's without ``.schema.json`` or ``.json``; else the end of its ``$id``, or its ``title``.

    Invalid is also what is no JSON at all: an object with the same key twice, NaN and infinities, text that cannot be
    parsed, nesting deeper than `MAX_DEPTH`, objects that JSON does not have. The failure is counted, and logged on
    ``vv_core.schemas`` with the path of the offending value, what is wrong with it and an excerpt. `component`, `video`
    and `video_sha256` are by default those of the surrounding stage.

    Raises `SchemaError` if the schema cannot be used, and nothing else.
    """
    try:
        check_schema(data, schema, component=component, video=video, video_sha256=video_sha256)
    except SchemaValidationError:
        return False
    return True


def check_schema(
    data: object,
    schema: Schema,
    *,
    component: str | None = None,
    video: str | bytes | os.PathLike[str] | None = None,
    video_sha256: str | None = None,
) -> None:
    """As `validate_schema`, but raises `SchemaValidationError`, which says where and why, if `data` is invalid.

    Raises `SchemaError` if the schema cannot be used.
    """
    compiled = _usable_schema(schema)
    try:
        _check_safely(data, compiled)
    except SchemaValidationError as error:
        who = _subject.reporter(component)
        _tell_invalid(error, who, _subject.video_fields(video, video_sha256))
        raise
    journals.emit("schema.validated", _subject.reporter(component), compiled.valid)


def _tell_invalid(error: SchemaValidationError, component: str, about: dict[str, object]) -> None:
    fields = {"schema": error.schema, "result": "invalid", "error": error.message}
    details = {"path": error.path, "excerpt": error.excerpt}
    known = {name: value for name, value in details.items() if value}
    journals.emit("schema.validated", component, {**fields, **known, **about}, journals.NEEDED)
    _reported.mark_reported(error)
    text = "schema validation failed: %s; the value begins: %s; video: %s"
    sdklog.log("vv_core.schemas", "error", text, error, error.excerpt, about.get("video", "unknown"))


def _usable_schema(schema: Schema) -> _Compiled:
    """Raises `SchemaError`, whatever was passed."""
    try:
        return _compiled_schema(schema)
    except (SchemaError, *texts.ENDS):
        raise
    except BaseException as error:  # the objects of others may raise anything
        problem = f"{texts.kind(error)}: {texts.line(error, 300)}"
        raise SchemaError(f"the schema is neither a path nor a JSON object: {problem}") from None


def _check_safely(data: object, compiled: _Compiled) -> None:
    """Raises `SchemaValidationError`, whatever was passed."""
    try:
        _check_data(data, compiled)
    except (SchemaValidationError, *texts.ENDS):
        raise
    except BaseException as error:
        _raise_invalid(compiled.name, f"is no JSON: {texts.kind(error)}: {texts.line(error, 300)}")


def _check_data(data: object, compiled: _Compiled) -> None:
    """Raises `SchemaValidationError`."""
    if isinstance(data, str | bytes | bytearray):
        data = _parse_json(data, compiled.name)
    if not _is_json(data):
        data = _as_json(data, compiled.name)
    if compiled.validator.is_valid(data):
        return
    for error in compiled.validator.iter_errors(data):
        path = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in error.instance_path)
        _raise_invalid(compiled.name, error.message, path, _excerpt_of(error.instance))
    _raise_invalid(compiled.name, "does not satisfy the schema")


def _raise_invalid(name: str, message: str, path: str = "", excerpt: str = "") -> Never:
    short = texts.line(_shorten_middle(message), _MAX_MESSAGE)
    raise SchemaValidationError(name, texts.line(path, _MAX_MESSAGE), short, texts.line(excerpt, MAX_EXCERPT)) from None


def _shorten_middle(message: str) -> str:
    """A message begins with the value it is about, and ends with what is wrong: keep both ends."""
    room = _MAX_MESSAGE // 4  # in characters, of up to 4 bytes
    return message if len(message) <= 2 * room else f"{message[: room // 2]} … {message[-room:]}"


def _parse_json(text: str | bytes | bytearray, name: str) -> object:
    import json

    try:
        whole = text if isinstance(text, str) else text.decode()
        return json.loads(whole, object_pairs_hook=_unique_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        _raise_invalid(name, f"is no JSON: {error}", excerpt=error.doc[max(0, error.pos - 100) : error.pos + 100])
    except UnicodeDecodeError as error:
        _raise_invalid(name, f"is no UTF-8: {error.reason} at byte {error.start}")
    except RecursionError:
        _raise_invalid(name, "is nested too deeply")
    except ValueError as error:  # a key twice, NaN, a number of thousands of digits
        _raise_invalid(name, f"is no JSON: {error}")


def _unique_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {texts.line(twice, 100)!r}")
    return found


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no number")


def _is_json(data: object) -> bool:
    """Whether `data` is made of what JSON has: no NaN, no other types, not nested too deeply, no cycles."""
    global _json_itself
    if _json_itself is None:
        import jsonschema_rs

        _json_itself = jsonschema_rs.validator_for(_any_json(MAX_DEPTH))
    try:
        return _json_itself.is_valid(data)
    except ValueError:  # a type that JSON has not
        return False


def _any_json(depth: int) -> dict[str, object]:
    """A schema that any JSON of at most that depth satisfies.

    Without a bound a deep enough document would exhaust the stack of the validator, which ends the process.
    """
    scalar = ["string", "number", "boolean", "null"]
    levels: dict[str, object] = {"0": {"type": scalar}}
    for level in range(1, depth + 1):
        inner = {"$ref": f"#/$defs/{level - 1}"}
        levels[str(level)] = {"type": [*scalar, "object", "array"], "additionalProperties": inner, "items": inner}
    return {"$ref": f"#/$defs/{depth}", "$defs": levels}


def _as_json(data: object, name: str) -> object:
    """What JSON makes of `data`: a subclass of `float`, such as NumPy's, becomes a number. Or why it is none."""
    import json

    try:
        plain = json.loads(json.dumps(data, allow_nan=False), object_pairs_hook=_unique_object)
        json.dumps(plain, ensure_ascii=False).encode()
    except RecursionError:
        problem = "is nested too deeply"
    except UnicodeEncodeError:
        problem = "is no JSON: it has text that UTF-8 cannot write"
    except (TypeError, ValueError) as error:
        problem = f"is no JSON: {error}"
    except Exception as error:  # the objects of others may raise anything
        problem = f"is no JSON: {error!r}"
    else:
        if _is_json(plain):
            return plain
        problem = f"is nested more than {MAX_DEPTH} deep"
    _raise_invalid(name, problem, excerpt=_excerpt_of(data))


def _excerpt_of(value: object) -> str:
    """How `value` begins, as JSON where it is such; no more of it is written than is shown."""
    import json

    parts: list[str] = []
    room = MAX_EXCERPT
    try:
        for part in json.JSONEncoder(ensure_ascii=False, default=texts.printed).iterencode(value):
            parts.append(part[:MAX_EXCERPT])
            room -= len(part)
            if room < 0:
                break
    except Exception:  # what was written until then is what there is to show
        return "".join(parts)
    return "".join(parts)


def _compiled_schema(schema: Schema) -> _Compiled:
    if isinstance(schema, str | os.PathLike):
        return _from_file(os.fspath(schema))
    return _from_content(schema)


def _from_file(path: str) -> _Compiled:
    try:
        status = os.stat(path)
        state = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        known = _by_path.get(path)
        if known is not None and known[0] == state:
            return known[1]
        name = _file_name(path)
        with open(path, "rb") as file:
            text = file.read()
    except (OSError, ValueError) as error:
        name = _file_name(path)
        reason = getattr(error, "strerror", None) or error
        raise SchemaError(f"schema {name}: {texts.path(path, 300)} cannot be read: {reason}") from None
    compiled = _compile_schema(_parsed_schema(text, name), name)
    _keep_cached(_by_path, path, (state, compiled))
    return compiled


def _parsed_schema(text: bytes, name: str) -> object:
    try:
        return _parse_json(text, name)
    except SchemaValidationError as error:
        raise SchemaError(f"schema {name}: {error.message}") from None


def _from_content(schema: Mapping[str, Any]) -> _Compiled:
    import marshal

    try:
        content = marshal.dumps(schema, 2)  # type: ignore[arg-type]  # five times as fast as JSON
    except ValueError:  # a type that marshal has not, such as a subclass of dict
        content = b""
    known = _by_content.get(content)
    if known is None:
        known = _compile_schema(_plain_schema(schema), _schema_title(schema))
        if content:
            _keep_cached(_by_content, content, known)
    return known


def _plain_schema(schema: Mapping[str, Any]) -> object:
    import json

    try:
        entries = list(islice(schema.items(), _MAX_ENTRIES + 1))  # a mapping of others may have no end
        if len(entries) > _MAX_ENTRIES:
            raise ValueError(f"more than {_MAX_ENTRIES} entries")
        return json.loads(json.dumps(dict(entries), allow_nan=False))
    except Exception as error:
        raise SchemaError(f"the schema is neither a path nor a JSON object: {texts.line(error, 300)}") from None


def _compile_schema(schema: Any, name: str) -> _Compiled:
    import jsonschema_rs

    if not _is_json(schema):
        raise SchemaError(f"schema {name}: is nested more than {MAX_DEPTH} deep")
    try:
        validator = jsonschema_rs.validator_for(schema, offline=True, validate_formats=True)
    except jsonschema_rs.ValidationError as error:
        raise SchemaError(f"schema {name}: {texts.line(_shorten_middle(error.message), _MAX_MESSAGE)}") from None
    except Exception as error:
        raise SchemaError(f"schema {name}: {texts.line(error, _MAX_MESSAGE)}") from None
    return _Compiled(name, validator)


def _keep_cached(cache: dict[Any, Any], key: object, value: object) -> None:
    with _lock:
        while len(cache) >= _CACHED:
            del cache[next(iter(cache))]
        cache[key] = value


def _schema_title(schema: Mapping[str, Any]) -> str:
    names = [schema.get("$id"), schema.get("id"), schema.get("title")]
    return _file_name(next((name.rstrip("#/") for name in names if isinstance(name, str) and name), ""))


def _file_name(path: str) -> str:
    name = texts.path(os.path.basename(path), _MAX_NAME)
    return name.removesuffix(".json").removesuffix(".schema") or "unnamed"
