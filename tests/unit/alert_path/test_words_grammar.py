"""What is understood of templates and of queries, part by part."""

from __future__ import annotations

import math

import pytest

from vv_exporter.alert_path.words import Sample, Words, WordsError, humanize, humanize_duration

SERIES = {
    "up": [
        Sample({"job": "a", "n": "1"}, 5.0),
        Sample({"job": "b", "n": "2"}, 7.0),
        Sample({"job": "a", "n": "3"}, 6.0),
    ],
    "none": [],
    "at": [Sample({}, 900.0)],
}
WORDS = Words(lambda name: SERIES[name], {"dvr": "front", "path": "/srv"}, 12.5, 1000.0)


def values(query: str) -> list[float]:
    return [sample.value for sample in WORDS.query(query)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("up{}", [5, 7, 6]),
        ("  up{}  ", [5, 7, 6]),
        ('up{job="a"}', [5, 6]),
        ("up{job='a'}", [5, 6]),
        ('up{job="a",n="3"}', [6]),
        ('up{job!="a"}', [7]),
        ('up{job=~"a|b",n!~"[13]"}', [7]),
        ('up{job=~"."}', [5, 7, 6]),
        ('up{job=~"x"}', []),
        ('up{other=""}', [5, 7, 6]),
        ("max(up{})", [7]),
        ("min(up{})", [5]),
        ("sum(up{})", [18]),
        ("topk(1, up{})", [7]),
        ("max(none{})", []),
        ("sum(none{})", []),
        ("up{} == 6", [6]),
        ("up{} > 5", [7, 6]),
        ("up{} > 6", [7]),
        ("time() - at{}", [100]),
        ("time() - max(up{})", [993]),
        ("time() - at{} > 99", [100]),
        ("time() - at{} > 899", [100]),
    ],
)
def test_a_query_gives_the_vector_that_prometheus_gives(query: str, found: list[float]) -> None:
    assert values(query) == found


def test_labels_go_with_what_is_selected_and_not_with_what_is_reckoned() -> None:
    assert WORDS.query("topk(1, up{})")[0].labels == {"job": "b", "n": "2"}
    assert WORDS.query("max(up{})")[0].labels == {}
    assert WORDS.query("time() - at{}")[0].labels == {}


@pytest.mark.parametrize("query", ["up", "avg(up{})", "up{} < 5", "rate(up{}[5m])", ""])
def test_another_query_is_not_guessed(query: str) -> None:
    with pytest.raises(WordsError, match="not understood"):
        WORDS.query(query)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain } text", "plain } text"),
        ("{{ $value }}", "12.5"),
        ("{{ $labels.dvr }} on {{ $labels.path }}{{ $labels.absent }}.", "front on /srv."),
        ("a {{- $value -}} b", "a12.5b"),
        ("a {{ $value }} b", "a 12.5 b"),
        ("a\n {{- $value }} b {{ $value -}}  \n c", "a12.5 b 12.5c"),
        ("a {{- $value -}}  ", "a12.5"),
        ('{{ "quoted {{ }} \\" text" }}', 'quoted {{ }} " text'),
        ('{{ print "a" $labels.dvr "b" }}', "afrontb"),
        ('{{ printf "%.2f of %s: %q" $value $labels.dvr $labels.path }}!', '12.50 of front: "/srv"!'),
        ('{{ $labels.dvr | printf "%s-%q" "x" }}', 'x-"front"'),
        ('{{ "ü" | printf "%q" }}', '"ü"'),
        ('{{ reReplaceAll "r.n" "RON" $labels.dvr }}', "fRONt"),
        ('{{ $labels.dvr | reReplaceAll "^f" "F" }}', "Front"),
        (
            "{{ $value | humanize }} {{ $value | humanizeDuration }} {{ $value | humanizePercentage }}",
            "12.5 12.5s 1250%",
        ),
        ("{{ 0.5 | humanizePercentage }}", None),
        ('{{ "up{}" | query | first | value }}', "5"),
        ('{{ with query "up{}" }}{{ . | first | value }}{{ end }}!', "5!"),
        ('{{ with query "none{}" }}yes{{ end }}!', "!"),
        ('{{ with query "none{}" }}yes{{ else }}no{{ end }}!', "no!"),
        ('{{ with query "up{}" }}yes{{ else }}no{{ end }}!', "yes!"),
        ('{{ with query "up{}" }}{{ . | first | label "job" }}{{ . | first | label "x" }}{{ end }}', "a"),
        ('{{ with query "none{}" }}{{ with query "up{}" }}a{{ else }}b{{ end }}c{{ else }}d{{ end }}e', "de"),
        ('{{ with query "up{}" }}{{ with query "none{}" }}a{{ else }}b{{ end }}c{{ else }}d{{ end }}e', "bce"),
        (
            '{{ with query "up{}" }}{{ with query "up{}" }}a{{ end }}b{{ end }}{{ with query "none{}" }}c{{ end }}d',
            "abd",
        ),
        ('{{ with query "none{}" }}{{ with $value }}a{{ end }}{{ with $value }}b{{ end }}{{ else }}c{{ end }}', "c"),
        ('{{ (query "at{}" | first | value | toTime).Format "2006-01-02 15:04:05 UTC" }}', "1970-01-01 00:15:00 UTC"),
        ('{{ ("a") }}', "a"),
        ('{{ print ("a") ("b" | print "c") "d" }}', "acbd"),
    ],
)
def test_a_template_is_filled_as_prometheus_fills_it(template: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(WordsError):
            WORDS.fill(template)
    else:
        assert WORDS.fill(template) == text


@pytest.mark.parametrize(
    "template",
    [
        "a {{ else }} b",
        "{{ end }}",
        '{{ with query "up{}" }}a',
        '{{ with query "none{}" }}a',
        '{{ with query "up{}" }}a{{ else }}b',
        "{{ }}",
        "{{ | print }}",
        "{{ $value ) }}",
        "{{ $other }}",
        "{{ unknown }}",
        "{{ $value",
        '{{ $value }} {{ "a',
    ],
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(WordsError):
        WORDS.fill(template)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-1.0, "-1"),
        (0.9999, "999.9m"),
        (999.0, "999"),
        (1000.0, "1k"),
        (999_000.0, "999k"),
        (1e6, "1M"),
        (1e24, "1Y"),
        (1e27, "1000Y"),
        (1e-3, "1m"),
        (1e-6, "1u"),
        (5e-7, "500n"),
        (1e-24, "1y"),
        (-0.5, "-500m"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_a_number_has_the_prefix_of_its_size(value: float, said: str) -> None:
    assert humanize(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0s"),
        (0.5, "500ms"),
        (1.0, "1s"),
        (59.0, "59s"),
        (59.99, "59.99s"),
        (60.0, "1m 0s"),
        (-61.0, "-1m 1s"),
        (3599.0, "59m 59s"),
        (3600.0, "1h 0m 0s"),
        (86_399.0, "23h 59m 59s"),
        (86_400.0, "1d 0h 0m 0s"),
        (-90_061.0, "-1d 1h 1m 1s"),
        (-3_661.0, "-1h 1m 1s"),
        (math.inf, "inf"),
    ],
)
def test_a_duration_begins_with_what_is_not_0(value: float, said: str) -> None:
    assert humanize_duration(value) == said
