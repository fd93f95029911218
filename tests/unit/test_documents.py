"""The documents: what they point to is there, and their pictures are small."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
CODE = ("", "exporter", "exporter/vv_exporter")
"""What CONTRIBUTING's paths begin at: the repository, or a folder of the code."""
PATH = re.compile(r"(?<![\w:/$])[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|yml|tmpl|md))(?![\w/])")
EXAMPLES = {"example.py", "example.tmpl"}
PRIVATE = re.compile(
    r"for want of|without a word|stands twice|taken again|nobody (?:is|was) told|told to nobody"
    r"|comes round|\banew\b|in vain"
)
"""What only we said; people search for OOM-killed, crashed, duplicate key, retried, not delivered, recreated, reset."""
PICTURES = sorted(ROOT.glob("docs/images/*.png"))
MAX_BYTES = 150_000  # as docs/screenshots.py has it
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)|(?:src|href)=\"([^\"#]+)\"")


def targets(document: Path) -> list[str]:
    """What a document points to in the repository."""
    prose = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = [first or second for first, second in LINK.findall(prose)]
    return [target for target in found if not re.match(r"[a-z]+:|/", target)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_points_to_is_there(document: Path) -> None:
    assert [target for target in targets(document) if not (document.parent / target).exists()] == []


def test_the_first_page_shows_what_the_product_looks_like() -> None:
    assert [target for target in targets(ROOT / "README.md") if target.endswith(".png")]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_are_small_and_shown_somewhere(picture: Path) -> None:
    shown = {(document.parent / target).resolve() for document in DOCUMENTS for target in targets(document)}

    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size <= MAX_BYTES
    assert picture.resolve() in shown


def named_files(text: str) -> set[str]:
    """The files and folders that are named in code of a document, except what its reader is going to make."""
    code = re.findall(r"`([^`\n]+)`", text)
    return {path for piece in code for path in PATH.findall(piece) if Path(path).name not in EXAMPLES}


def is_there(path: str) -> bool:
    """Whether the repository has it; a name alone may stand for a file anywhere in it."""
    anywhere = [] if "/" in path.rstrip("/") else ROOT.glob(f"[a-z]*/**/{path}")
    return any((ROOT / start / path).exists() for start in CODE) or any(anywhere)


def test_the_files_that_contributors_are_sent_to_are_there() -> None:
    named = named_files((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))

    assert len(named) > 50
    assert [path for path in sorted(named) if not is_there(path)] == []


@pytest.mark.parametrize("wanted", ["channel", "alert", "metric", "page", "setting"])
def test_the_first_page_leads_in_two_steps_to(wanted: str) -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| {wanted} \|.*$", contributing, re.MULTILINE)

    assert "](CONTRIBUTING.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert row is not None
    assert named_files(row[0])


def test_the_walks_are_a_screen_each() -> None:
    walks = re.findall(
        r"^## A walk.*?(?=^## )", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )

    assert len(walks) == 2
    assert all(len(walk.splitlines()) <= 40 for walk in walks)


def sentences(source: Path) -> list[str]:
    """The texts in a program that are no names, and no docstrings."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    statements = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    literals = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node not in statements]
    return [node.value for node in literals if isinstance(node.value, str) and " " in node.value]


def test_operators_read_the_words_that_they_search_for() -> None:
    read = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("docs/runbooks/*.md")}
    rules = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("prometheus/rules/*.yml")}
    read |= {path: re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE) for path, text in rules.items()}
    for folder in ("exporter/vv_core", "exporter/vv_exporter", "grafana/vv_dashboards"):
        read |= {path: "\n".join(sentences(path)) for path in (ROOT / folder).rglob("*.py")}

    assert len(read) > 300
    assert [f"{path.relative_to(ROOT)}: {found}" for path in read for found in PRIVATE.findall(read[path])] == []
