"""The documents: what they point to is there, and their pictures are small."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
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
