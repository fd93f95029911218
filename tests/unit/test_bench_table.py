"""README's table of figures, made of what benchmarks published."""

from pathlib import Path

import pytest
from benchmarks._portuguese import portuguese
from benchmarks._results import OURS, Figure, Run, comparison, number, shown
from benchmarks.bench_peers import memory_alone
from benchmarks.readme import BEGIN, END, PORTUGUESE, README, figures_table, replace_table

CALL = Figure("one event", OURS, "µs", (4.0, 5.0, 4.1))
OTHER = Figure("one event", "UDP | statsd", "µs", (8.0, 5.0, 4.1))


def run(*figures: Figure, **absent: str) -> Run:
    return Run("writer", "2026-11-30", "719be67", "Python 3.11.7, x86_64, 2 cores", (0.3, 1.1), figures, absent)


def smaps(address: str, file: str, **kilobytes: int) -> str:
    sizes = "".join(f"{name}: {size} kB\n" for name, size in kilobytes.items())
    return f"{address} r--p 00001000 fe:00 {file}\n{sizes}THPeligible:    0\nVmFlags: rd mr mw me\n"


def test_a_figure_is_its_median_with_least_and_most() -> None:
    assert shown(CALL) == "4.10 µs (4–5)"


def test_a_figure_whose_rounds_agree_has_no_brackets() -> None:
    assert shown(Figure("lost", OURS, "", (0, 0, 0))) == "0"


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (4.126, "4.13"), (28.44, "28.4"), (184.4, "184"), (320_123.0, "320,123")]
)
def test_a_number_has_the_digits_of_a_measurement(value: float, text: str) -> None:
    assert number(value) == text


def test_others_are_compared_round_by_round() -> None:
    ratio = comparison(OTHER, [CALL, OTHER])
    assert ratio is not None
    assert shown(ratio) == "×1 (1–2)"


def test_nothing_is_compared_with_none_of_ours_or_nothing() -> None:
    assert comparison(OTHER, [OTHER]) is None
    assert comparison(CALL, [CALL, OTHER]) is None
    assert comparison(Figure("lost", "statsd", "", (5,)), [Figure("lost", OURS, "", (0,))]) is None


def test_the_table_has_where_and_under_which_load_it_was_measured() -> None:
    heading, row = figures_table([run(CALL, OTHER)]).splitlines()[2:]
    assert "2026-11-30, commit 719be67, Python 3.11.7, x86_64, 2 cores, load 0.3 before and 1.1 after" in heading
    assert row == "| one event | 4.10 µs (4–5) | UDP \\| statsd 5 µs (4.10–8), ×1 (1–2) |"


def test_the_table_names_who_was_not_measured() -> None:
    assert "not measured: cAdvisor: no package" in figures_table([run(CALL, cAdvisor="no package")])


def test_only_what_is_between_the_comments_is_replaced() -> None:
    document = f"# A\n\n{BEGIN}\n\nold\n\n{END}\n\n## More\n"
    assert replace_table(document, "new") == f"# A\n\n{BEGIN}\n\nnew\n\n{END}\n\n## More\n"


@pytest.mark.parametrize("document", ["", BEGIN, END])
def test_a_document_without_the_comments_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="lacks the line"):
        replace_table(document, "new")


@pytest.mark.parametrize("document", [README, PORTUGUESE])
def test_the_documents_have_the_comments(document: Path) -> None:
    replace_table(document.read_text(encoding="utf-8"), "new")


def test_a_row_in_portuguese_has_its_words_and_its_commas() -> None:
    row = "| a scrape with 20 containers (1,457 samples) | 13.2 ms (12–14) | |"
    assert portuguese(row) == "| uma coleta com 20 contêineres (1.457 amostras) | 13,2 ms (12–14) | |"


def test_names_and_code_stay_in_portuguese() -> None:
    row = "| `sign_payload` of 1 kB, with its event | | json.loads alone |"
    assert portuguese(row) == "| `sign_payload` de 1 kB, com seu evento | | json.loads sozinho |"
    assert portuguese("`make bench ARGS=many_containers`") == "`make bench ARGS=many_containers`"


def test_versions_keep_their_points_in_portuguese() -> None:
    heading = figures_table([run(CALL)]).splitlines()[2]
    assert "Python 3.11.7, x86_64, 2 núcleos, carga 0.3 antes e 1.1 depois |" in portuguese(heading)


def test_memory_alone_counts_a_shared_file_once() -> None:
    program = smaps("1000-2000", "77 /usr/bin/python", Rss=100, Pss=25, Anonymous=0)
    heap = smaps("3000-4000", "0", Rss=50, Pss=50, Anonymous=50)
    assert memory_alone([program + heap, program + heap]) == (100 + 50 + 50) * 1024


def test_memory_alone_counts_what_was_written_to_a_mapped_file_for_each() -> None:
    written = smaps("1000-2000", "77 /usr/lib/libc.so", Rss=30, Pss=10, Anonymous=20)
    assert memory_alone([written, written]) == (20 + 20 + 10) * 1024
