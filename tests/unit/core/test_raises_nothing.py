"""Every public function and method of the SDK, called with anything: it raises what its description names, and no more.

A script calls them in its `except` blocks, where whatever they raised would hide the real error. What they report
under way is an event that the exporter takes.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import vv_core
from tests.support.anything import anything
from tests.support.clock import Clock
from vv_core import _ends, attempts, guard, ingest
from vv_core.alerter import send_alert
from vv_core.common import environment, journals
from vv_exporter.journal.events import AlertRaised, decode

INTERNAL = {"testing"}  # of a script's tests, where whatever is raised is welcome
NOT_CALLED = {
    *("attempts.Attempt", "dvr.Attempt", "retry.Attempt", "stages.Stage", "jobs.Job"),
    *("chain.ChainCheck", "chain.Finding", "chain.Head", "chain.Report", "chain.kept_heads", "chain.place_of"),
    *("guard.report", "ingest.is_flag", "logs.AppLogHandler", "logs.as_line", "quarantine.candidate", "signing.is_id"),
}
"""What the SDK, the exporter or `logging` make or call, not scripts: tried as they do it."""
HOOKS = {"noted"}  # of a base class
MANY = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink an example takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Reported:
    """What is reported, as the exporter reads it."""

    lost = 0

    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float = 0) -> bool:
        line = journals.Journal(folder="nowhere")._build_event(kind, component, fields, worth).line
        self.events.append(decode(line))
        return True

    def flush(self) -> bool:
        return True


class Formatting(logging.Handler):
    """Formats what is logged, as every handler does, and leaves text that pytest's reports take: no lone surrogates."""

    def emit(self, record: logging.LogRecord) -> None:
        record.msg = self.format(record).encode(errors="backslashreplace").decode()
        record.args = record.exc_info = record.exc_text = None


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reported]:
    """Files of its own, and nothing that outlives the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(tmp_path / "storage"))
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    monkeypatch.setattr(threading, "excepthook", lambda *_: None)
    monkeypatch.setattr(guard, "_watch", guard._Watch())
    monkeypatch.setattr(ingest, "_looked", float("-inf"))
    monkeypatch.setattr(_ends, "_failed", False)
    monkeypatch.setattr(attempts, "_complained", set())
    monkeypatch.setattr(environment, "_complained", set())
    monkeypatch.setattr(logging.getLogger("vv_core"), "handlers", [Formatting()])
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "a.mp4").write_bytes(b"video")
    reported = Reported()
    journals.reset(reported)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield reported
    root.handlers[:] = handlers
    root.setLevel(level)


def public_names() -> list[str]:
    """Functions and classes without an underscore, of modules without one."""
    modules = [name for _, name, _ in pkgutil.iter_modules(vv_core.__path__) if not name.startswith("_")]
    return [
        f"{module}.{name}"
        for module in sorted(set(modules) - INTERNAL)
        for name, value in sorted(vars(importlib.import_module(f"vv_core.{module}")).items())
        if not name.startswith("_") and callable(value) and value.__module__ == f"vv_core.{module}"
        if not (isinstance(value, type) and issubclass(value, BaseException))
        if f"{module}.{name}" not in NOT_CALLED
    ]


def of_name(name: str) -> Any:
    module, _, attribute = name.partition(".")
    return getattr(importlib.import_module(f"vv_core.{module}"), attribute)


def named(*described: Any) -> set[str]:
    """The exceptions that descriptions name."""
    texts = " ".join(one.__doc__ or "" for one in described)
    return set(re.findall(r"`(\w+(?:Error|Exit))`", texts))


@contextmanager
def raising_only(allowed: set[str]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if allowed.isdisjoint(kind.__name__ for kind in type(error).__mro__):
            raise


def arguments(data: st.DataObject, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """Any values for the parameters of a function; of those with a default any choice."""
    args, kwargs, clock = [], {}, Clock()
    injected = {"sleep": clock.advance, "clock": clock, "monotonic": clock, "random": lambda: 0.5}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if parameter.kind == parameter.VAR_POSITIONAL:
                args += data.draw(st.lists(anything(), max_size=2))
        elif parameter.name in injected:
            kwargs[parameter.name] = injected[parameter.name]
        elif parameter.kind == parameter.POSITIONAL_ONLY or parameter.default is parameter.empty:
            args.append(data.draw(anything(), label=parameter.name))
        elif data.draw(st.booleans()):
            kwargs[parameter.name] = data.draw(anything(), label=parameter.name)
    return args, kwargs


def use(data: st.DataObject, made: Any, allowed: set[str]) -> None:
    """Call all that an object offers, with anything."""
    for name in sorted(dir(type(made))):
        if name.startswith("_") or name in HOOKS:
            continue
        with raising_only(allowed | named(getattr(type(made), name))):
            value = getattr(made, name)
            if callable(value):
                args, kwargs = arguments(data, value)
                use_answer(data, value(*args, **kwargs))
    if hasattr(type(made), "__exit__"):
        for error in (None, ValueError("real"), data.draw(st.builds(RuntimeError, anything()))):
            use_around(made, error, allowed)
    if hasattr(type(made), "__iter__") and not hasattr(type(made), "__len__"):
        with raising_only(allowed):
            for answer in islice(iter(made), 3):
                use_answer(data, answer)


def use_answer(data: st.DataObject, answer: Any) -> None:
    if type(answer).__module__.startswith("vv_core"):
        use(data, answer, named(type(answer)))
    elif inspect.isgenerator(answer):
        for one in islice(answer, 3):
            use_answer(data, one)


def use_around(made: Any, error: BaseException | None, allowed: set[str]) -> None:
    """As a context manager; what its body raises is what comes out, if anything does."""
    try:
        with raising_only(allowed), made as entered:
            for name in ("note", "fail"):
                if hasattr(entered, name):
                    getattr(entered, name)()
            if error is not None:
                raise error
    except BaseException as raised:
        if raised is not error and not (isinstance(raised, SystemExit) and raised.__cause__ is error):
            raise


@pytest.mark.parametrize("name", public_names())
@given(data=st.data())
@MANY
def test_what_is_called_with_anything_raises_only_what_it_names(name: str, data: st.DataObject) -> None:
    function = of_name(name)
    allowed = named(function, getattr(function, "__init__", None))
    args, kwargs = arguments(data, function)

    with raising_only(allowed):
        made = function(*args, **kwargs)
        if isinstance(function, type):
            use(data, made, allowed)
        else:
            use_answer(data, made)


NAMES = (
    *("level", "title", "details", "message_details", "source_component", "context", "suggested_actions"),
    *("dedupe_key", "video", "video_file_context"),
)


@given(
    args=st.lists(anything(), max_size=7),
    kwargs=st.dictionaries(st.text(max_size=9) | st.sampled_from(NAMES), anything(), max_size=5),
)
@MANY
def test_an_alert_is_raised_whatever_it_is_given(
    surroundings: Reported, args: list[Any], kwargs: dict[str, Any]
) -> None:
    surroundings.events.clear()

    alert_id = send_alert(*args, **kwargs)

    assert [alert_id] == [event.id for event in surroundings.events if isinstance(event, AlertRaised)]
