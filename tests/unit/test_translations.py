"""Documents in other languages: complete, and with the commands, placeholders and links of the English ones.

A language is a folder `docs/LANGUAGE/` with `runbooks/`. What is compared is what may not be translated; words are for
people to read.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from vv_exporter.language import languages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LANGUAGES = sorted(path.parent.name for path in DOCS.glob("*/runbooks"))
RUNBOOKS = sorted(str(path.relative_to(DOCS / "runbooks")) for path in DOCS.glob("runbooks/**/*.md"))
ENGLISH_ONLY = {
    *("architecture.md", "chain.md", "durability.md", "field.md", "flash.md", "fuzzing.md", "grafana.md"),
    *("instrument-a-script.md", "journal.md", "metrics.md", "signing.md"),
}
"""References, and what is for developers. What operators read is in every language."""
DOCUMENTS = [
    "README.md",
    *sorted(
        path.name
        for path in DOCS.glob("*.md")
        if path.name not in ENGLISH_ONLY and not path.name.startswith("glossary.")
    ),
]
GENERATED = {"alerts.md", "configuration.md"}
"""Written from code. Other languages have what is most used of them, and lead to the English one."""
FENCED = re.compile(r"^[ ]*```.*?\n.*?^[ ]*```$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"(^|[ ]+)# .*$", re.MULTILINE)
TRAILING = re.compile(r"[ ]+$", re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
BOLD = re.compile(r"\*\*[^*]+\*\*")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Fixed(NamedTuple):
    """What a translation has in common with its original; a Counter where another language may have another order."""

    headings: list[str]
    code: list[str]
    comments: int
    spans: Counter[str]
    links: Counter[str]
    steps: int
    cells: list[int]
    severities: list[str]


def fixed(text: str, folder: Path) -> Fixed:
    """What of a document in this folder is not translated."""
    code, prose = FENCED.findall(text), FENCED.sub("", text)
    bold = " ".join(BOLD.findall(prose.split("\n\n")[1]))
    return Fixed(
        headings=re.findall(r"^#+", prose, re.MULTILINE),
        code=[TRAILING.sub("", COMMENT.sub("", block)) for block in code],
        comments=sum(len(COMMENT.findall(block)) for block in code),
        spans=Counter(" ".join(span.split()) for span in SPAN.findall(prose)),
        links=Counter(_target(link, folder) for link in LINK.findall(prose)),
        steps=len(re.findall(r"^\d+\. ", prose, re.MULTILINE)),
        cells=[line.count("|") for line in prose.splitlines() if line.startswith("|")],
        severities=re.findall(r"\b(?:critical|error|warning|info|none)\b", bold),
    )


def _target(link: str, folder: Path) -> str:
    """Where a link leads, as the English original would have it."""
    if re.match(r"[a-z]+:", link):
        return link
    path, _, anchor = link.partition("#")
    parts = (folder / path).resolve().relative_to(ROOT).parts
    return "/".join(part for part in parts if part not in LANGUAGES) + ("#" if anchor else "")


def differences(english: str, translated: str, language: str, folder: str = ".") -> list[str]:
    """What a translated runbook lacks, or has too much."""
    one, other = fixed(english, DOCS / "runbooks" / folder), fixed(translated, DOCS / language / "runbooks" / folder)
    found = [
        f"{name}: {_missing(getattr(one, name), getattr(other, name))}"
        for name in Fixed._fields
        if getattr(one, name) != getattr(other, name)
    ]
    return found + [f"in English: {line}" for line in _prose(english) & _prose(translated)]


def _missing(one: object, other: object) -> object:
    if isinstance(one, Counter) and isinstance(other, Counter):
        return f"lacks {sorted((one - other).elements())}, has also {sorted((other - one).elements())}"
    return f"{one!r} is {other!r}"


def _prose(text: str) -> set[str]:
    """Paragraphs of six words or more, code and links left out: some word of each is translated."""
    plain = re.sub(r"\[[^\]]*\]\([^)]*\)", "", SPAN.sub("", FENCED.sub("", text)))
    lines = [" ".join(re.findall(r"[^\W\d]{2,}", paragraph)) for paragraph in re.split(r"\n+(?=\d|-|\||\n)", plain)]
    return {line for line in lines if len(line.split()) >= 6}


def original(name: str) -> Path:
    """The English document."""
    return ROOT / name if name == "README.md" else DOCS / name


def test_every_language_of_messages_has_documents() -> None:
    assert "pt-BR" in LANGUAGES
    assert ("en", *LANGUAGES) == languages()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_runbook_and_no_other_is_there(language: str) -> None:
    folder = DOCS / language / "runbooks"
    assert sorted(str(path.relative_to(folder)) for path in folder.glob("**/*.*")) == RUNBOOKS


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_document_for_operators_and_no_other_is_there(language: str) -> None:
    """A new document is translated, or stands in ENGLISH_ONLY."""
    assert sorted(path.name for path in (DOCS / language).glob("*.md")) == sorted(DOCUMENTS)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_has_the_commands_placeholders_and_links_of_the_english_one(name: str, language: str) -> None:
    english = (DOCS / "runbooks" / name).read_text(encoding="utf-8")
    translated = (DOCS / language / "runbooks" / name).read_text(encoding="utf-8")

    assert differences(english, translated, language, str(Path(name).parent)) == []
    assert english.splitlines()[0] == translated.splitlines()[0]


CHANGES = {
    "a command": ("docker stop agent_dvr", "docker stop agente_dvr"),
    "an option": ("--max-depth=2", "--max-depth=3"),
    "a placeholder": ("`corrupted/`", "`corrompidos/`"),
    "a variable": ("`DISK_CRITICAL_FREE`", "`DISCO_CRITICO`"),
    "a link": ("(JobMissed.md)", "(JobFailed.md)"),
    "a step": ("\n3. ", "\n"),
    "a heading": ("## Impacto", "### Impacto"),
    "a comment": ("  # o que é grande", ""),
    "the severity": ("**critical**", "**crítico**"),
    "a block": ("```sh\n", "```sh\ntrue\n"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_goes_wrong_in_a_translation_is_noticed(what: str) -> None:
    english = (DOCS / "runbooks" / "DiskSpaceCritical.md").read_text(encoding="utf-8")
    translated = (DOCS / "pt-BR" / "runbooks" / "DiskSpaceCritical.md").read_text(encoding="utf-8")

    assert CHANGES[what][0] in translated
    assert differences(english, translated.replace(*CHANGES[what], 1), "pt-BR") != []


def test_a_sentence_that_was_left_in_english_is_noticed() -> None:
    english = (DOCS / "runbooks" / "Drill.md").read_text(encoding="utf-8")
    translated = (DOCS / "pt-BR" / "runbooks" / "Drill.md").read_text(encoding="utf-8")
    sentence = "3. It does not end: the exporter was stopped in the middle."

    assert sentence in english
    left = re.sub(r"^3\. .*?\Z", lambda _: english[english.index(sentence) :], translated, flags=re.M | re.S)
    assert differences(english, left, "pt-BR") != []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_has_the_sections_and_code_of_the_english_one(name: str, language: str) -> None:
    english, translated = original(name).read_text("utf-8"), (DOCS / language / name).read_text("utf-8")
    one, other = fixed(english, original(name).parent), fixed(translated, DOCS / language)

    assert other.headings == one.headings
    if name in GENERATED:
        assert set("\n".join(other.code).splitlines()) <= set("\n".join(one.code).splitlines())
    else:
        assert (other.code, other.comments, other.cells) == (one.code, one.comments, one.cells)
    assert sorted(_prose(english) & _prose(translated)) == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_leads_to_its_other_languages(name: str, language: str) -> None:
    def first_links(path: Path) -> list[Path]:
        top = "\n".join(path.read_text(encoding="utf-8").splitlines()[:3])
        return [(path.parent / link).resolve() for link in LINK.findall(top)]

    assert DOCS / language / name in first_links(original(name))
    assert original(name) in first_links(DOCS / language / name)


def anchors(path: Path) -> set[str]:
    """The places in a document that a link can name, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_places_that_links_name_are_there(language: str) -> None:
    for path in (DOCS / language).glob("**/*.md"):
        for link in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
            target, _, anchor = link.partition("#")
            if anchor and not re.match(r"[a-z]+:", target):
                assert anchor in anchors((path.parent / target).resolve() if target else path), f"{path.name}: {link}"
