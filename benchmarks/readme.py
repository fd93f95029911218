"""README's table of figures, made of the last results of the benchmarks that publish.

python -m benchmarks.readme [--write]

Prints it, or writes it between the two comments in README.md, and in Portuguese into docs/pt-BR/README.md. A figure is
in it only while `.vv/bench` has a result.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks._portuguese import portuguese
from benchmarks._results import OURS, Figure, Run, comparison, published, shown

ROOT = Path(__file__).parents[1]
README, PORTUGUESE = ROOT / "README.md", ROOT / "docs" / "pt-BR" / "README.md"
BEGIN = "<!-- measured: written by `python -m benchmarks.readme --write` -->"
END = "<!-- /measured -->"


def main() -> None:
    """Print the table, or write it."""
    runs = published()
    if not runs:
        raise SystemExit("benchmarks.readme: there are no results yet; make bench")
    text = figures_table(runs)
    if "--write" in sys.argv[1:]:
        _write(README, text)
        _write(PORTUGUESE, "\n".join(map(portuguese, text.splitlines())))
    else:
        print(text)


def _write(document: Path, table: str) -> None:
    document.write_text(replace_table(document.read_text(encoding="utf-8"), table), encoding="utf-8")


def figures_table(runs: Sequence[Run]) -> str:
    """All of it: medians, in brackets the least and the most of the rounds, and where and when each was measured."""
    lines = ["| | vv-exporter | beside it, and how many times ours |", "|---|---|---|"]
    for run in runs:
        lines += [_heading(run), *_rows(run.figures)]
        lines += [f"| | | not measured: {name}: {_cell(why)} |" for name, why in run.absent.items()]
    return "\n".join(lines)


def replace_table(document: str, table: str) -> str:
    """The document with another table between the comments. Raises `ValueError` where they are not there."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document lacks the line {BEGIN if not begin else END}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _heading(run: Run) -> str:
    before, after = run.load
    where = f"{run.date}, commit {run.commit}, {run.machine}, load {before:.1f} before and {after:.1f} after"
    return f"| **`make bench ARGS={run.bench}`** | | {where} |"


def _rows(figures: Sequence[Figure]) -> Iterator[str]:
    for what in dict.fromkeys(figure.what for figure in figures):
        same = [figure for figure in figures if figure.what == what]
        ours = "; ".join(shown(figure) for figure in same if figure.subject == OURS)
        yield f"| {what} | {ours} | {'; '.join(_others(same))} |"


def _others(same: Sequence[Figure]) -> Iterable[str]:
    for figure in same:
        if figure.subject != OURS:
            ratio = comparison(figure, same)
            yield f"{_cell(figure.subject)} {shown(figure)}" + (f", {shown(ratio)}" if ratio else "")


if __name__ == "__main__":
    main()
