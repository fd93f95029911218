"""What `/metrics` shows is accepted by Prometheus' own linter and by the strict OpenMetrics parser."""

import subprocess
from collections.abc import Iterable, Mapping

import pytest
import requests
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.servers import Programs
from tests.support.waiting import wait_until
from tests.unit.web.conftest import Serve
from vv_exporter.collectors import host, itself, storage, thresholds
from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics import Metric, all_metrics
from vv_exporter.services import at_work, build_services
from vv_exporter.web import create_app
from vv_exporter.web.guard import Guarded

WHERE_IT_IS_SO = {"vv_filesystem_missing_info", "vv_threshold_filesystem_reduced_bytes"}
AWKWARD = 'caf\u00e9 "quoted" \\ back\nslash {{ .Labels }} \U0001f4f7'


class Rest:
    """All families of the catalogue that the others do not show, out of the store, with awkward label values."""

    name = "rest"

    def __init__(self, context: Context, shown: Iterable[Family]) -> None:
        names = {sample.name for family in shown for sample in family.samples} | {family.name for family in shown}
        guarded = {"vv_collector_success", "vv_collector_duration_seconds"}
        self._store = context.store
        self.metrics: Mapping[str, Metric] = {
            name: metric
            for name, metric in all_metrics().items()
            if name.removesuffix("_total") not in names and name not in names | guarded
        }
        with context.store.transaction() as tx:
            for metric in self.metrics.values():
                labels = tuple(AWKWARD for _ in metric.labels)
                {"counter": tx.inc, "gauge": tx.set, "histogram": tx.observe}[metric.type](metric, labels, 2.5)

    def collect(self) -> Iterable[Family]:
        return [stored(self._store, metric) for metric in self.metrics.values()]


@pytest.fixture
def url(context: Context, serve: Serve) -> Iterable[str]:
    services = build_services(context)
    disks = storage.build(services)
    collectors = [disks, host.build(context), itself.build(context), thresholds.build(context)]
    with at_work(list(services.filesystems.items())):
        wait_until(lambda: all(family.samples for family in disks.collect() if family.name not in WHERE_IT_IS_SO))
        rest = Rest(context, [family for collector in collectors for family in collector.collect()])
        yield serve(create_app(context, [Guarded(collector) for collector in [*collectors, rest]])).url


@pytest.mark.prometheus
def test_promtool_has_nothing_to_say_about_any_family(url: str, programs: Programs) -> None:
    exposition = requests.get(f"{url}/metrics", timeout=10).text
    checked = subprocess.run(
        [programs.promtool, "check", "metrics"], input=exposition, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert 'vv_collector_success{collector="rest"} 1.0\n' in exposition


def test_label_values_survive_in_openmetrics(url: str) -> None:
    answer = requests.get(
        f"{url}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}, timeout=10
    )
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]

    assert {sample.value for sample in samples if sample.name == "vv_collector_success"} == {1.0}
    assert AWKWARD in {value for sample in samples for value in sample.labels.values()}
