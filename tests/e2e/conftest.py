"""Files that take minutes begin first, so that the last process to end has not one of them all to itself."""

import pytest

LONGEST_FIRST = (
    "test_compose",
    "test_self_monitor",
    "test_recorder",
    "test_faults",
    "test_containers",
    "test_alert_path",
    "test_demo",
    "test_delivery",
    "test_fleet_centre",
    "test_container_faults",
    "test_full_disk",
    "test_dashboards",
    "test_demo_pages",
    "test_pipeline_faults",
    "test_webhook",
    "test_dvr",
    "test_every_alert",
)
PLACES = {name: place for place, name in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them first; all others stay where they are."""
    items.sort(key=lambda item: PLACES.get(item.path.stem, len(PLACES)))
