"""What the tests start side by side meets on no port."""

import pytest

from tests.support import ports


@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 2, 3), (3, 1, 2), (4, 4, 4)], ids=str)
def test_each_process_of_the_tests_has_ports_of_its_own(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int, int]
) -> None:
    found: list[int] = []
    for run, count in enumerate(counts):
        monkeypatch.setenv("VV_TEST_RUN", str(run))
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(count))
        for worker in range(count):
            monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
            found += ports._own_ports()

    assert sorted(found) == [*range(20_000, 32_000)]


def test_a_port_is_not_given_twice_in_a_row_of_thousands() -> None:
    given = [ports.free_port() for _ in range(1000)]

    assert len(set(given)) == 1000
