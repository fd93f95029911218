import pytest

from vv_core.common.units import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800),
        ("500ms", 0.5), ("1w", 604_800), (" 10s ", 10), ("0", 0), ("0.5", 0.5),
    ],
)  # fmt: skip
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "abc", "15 m", "-5", "5x", "m", "1h-3m", "1e3", "inf", "nan", "١٥m", "5m\n3", "9" * 400]
)
def test_what_is_no_duration_is_refused_with_the_text_and_a_cure(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write") as caught:
        parse_duration(text)

    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500", 500), ("256MB", 256_000_000), ("10GB", 10 * 10**9), ("10 GiB", 10 * 2**30),
        ("1.5TB", 1_500_000_000_000), ("4kib", 4096), ("1kB", 1000), ("7B", 7), ("0", 0),
    ],
)  # fmt: skip
def test_a_size_is_read_in_bytes_decimal_and_binary(text: str, size: int) -> None:
    assert size == parse_size(text)


@pytest.mark.parametrize("text", ["", "GB", "10G", "-1", "10 GBs", "1,5GB", "50%", "9" * 400])
def test_what_is_no_size_is_refused_with_the_text_and_a_cure(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: write") as caught:
        parse_size(text)

    assert repr(text) in str(caught.value)
