"""The rooms of `vv_exporter`: which may use which, as docs/architecture.md shows them."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import vv_exporter

PACKAGE = Path(vv_exporter.__file__).parent
ROOT = PACKAGE.parents[1]
ARCHITECTURE = ROOT / "docs" / "architecture.md"

ROOMS = (
    "language",
    "common",
    "metrics",
    "settings",
    "installation",
    "state",
    "footage",
    "alertmanager",
    "runtime",
    "messages",
    "channels",
    "render",
    "drills",
    "delivery",
    "alert_path",
    "context",
    "containers",
    "supervisor",
    "health",
    "docker_proxy",
    "probes",
    "journal",
    "status",
    "digest",
    "stack",
    "fleet",
    "alerting",
    "services",
    "collectors",
    "web",
    "exporter",
    "reporting",
    "cli",
    "entry",
    "__main__",
)
"""A room uses those before it."""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(module: str, *, when_loaded: bool = False) -> Iterator[str]:
    """The modules of the package that a module imports anywhere, or just when it is loaded itself."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in _loaded(tree) if when_loaded else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vv_exporter":
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


def _loaded(tree: ast.AST) -> Iterator[ast.AST]:
    """What is run when a module is loaded: neither functions nor what is there for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _loaded(node)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_is_named() -> None:
    assert {room(module) for module in MODULES} - {""} == set(ROOMS)
    assert len([name for name in ROOMS if (PACKAGE / name).is_dir()]) <= 30


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_uses_those_before_it(name: str) -> None:
    allowed = {"", *ROOMS[: ROOMS.index(name) + 1]}
    wrong = [
        f"{module} imports {used}"
        for module in MODULES
        if room(module) == name
        for used in imports(module)
        if room(used) not in allowed
    ]
    assert not wrong


def test_no_file_needs_itself() -> None:
    graph = {module: {used for used in imports(module, when_loaded=True) if used != module} for module in MODULES}
    for module, used in graph.items():
        used -= {parent for parent in used if module.startswith(f"{parent}.")}  # a folder's file is loaded before
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the files


def test_nothing_private_is_used_from_another_room() -> None:
    wrong = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            for name in node.names:
                full = f"{node.module}.{name.name}"
                owner, _, rest = full.removesuffix("__version__").partition("._")
                ours = owner.split(".")[0] in ("vv_core", "vv_exporter")
                if rest and ours and (room(owner), owner.split(".")[0]) != (room(module), "vv_exporter"):
                    wrong.append(f"{module} imports {full}")
    assert not wrong


def test_nothing_needs_what_builds_and_tests_it() -> None:
    """`tools/` is in no wheel: what is installed must not import it, nor fetch what only tests use."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    shipped = [ROOT / package for package in wheel["wheel"]["packages"]]
    sources = [path.read_text(encoding="utf-8") for package in shipped for path in package.rglob("*.py")]

    assert [package.name for package in shipped] == ["vv_core", "vv_exporter"]
    assert not [text for text in sources if re.search(r"^\s*(from|import) (tools|tests)\b", text, re.MULTILINE)]
    fetched = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "stack").glob("*.py"))
    for only_tests in ("dockerd", "chromium", "gstreamer", "patchelf"):
        assert f'"{only_tests}' not in fetched


def test_the_documents_show_them_all() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rooms = re.search(r"## Rooms\n(.*?)\n## ", text, re.DOTALL)
    assert rooms is not None
    shown = re.findall(r"^\| `(\w+)/?` \|", rooms.group(1), re.MULTILINE)
    assert shown == [name for name in ROOMS if name not in ("__main__",)]
