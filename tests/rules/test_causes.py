"""A cause fires before what it hides: Alertmanager holds back only what comes after it."""

from pathlib import Path

import pytest
import yaml
from tests.rules.catalogue import ROOT
from tests.support.servers import Programs, check

pytestmark = pytest.mark.prometheus

STEPS = 12


@pytest.mark.parametrize("interval", [10, 15, 30, 60])
@pytest.mark.parametrize("late", [0, 1], ids=["seen together", "the cause is seen a scrape later"])
def test_that_the_disk_is_full_is_told_before_that_storing_is_paused(
    programs: Programs, tmp_path: Path, interval: int, late: int
) -> None:
    steps = 4 + max(STEPS, 300 // interval)
    labels = 'device="edge-1",instance="a:1",job="vv-exporter"'
    disk = f'{labels},role="video_storage",path="/data"'
    series = {
        f"vv_ingest_paused{{{labels}}}": f"0x2 1x{steps}",
        f"vv_filesystem_size_bytes{{{disk}}}": f"100e9x{steps}",
        f"vv_filesystem_free_bytes{{{disk}}}": f"50e9x{2 + late} 5e9x{steps}",
        f'vv_threshold_filesystem_free_bytes{{{labels},role="video_storage",severity="critical"}}': f"10e9x{steps}",
    }
    told, cause = (
        f'ALERTS{{alertname="{name}",alertstate="firing"}}' for name in ("IngestPaused", "DiskSpaceCritical")
    )
    # A whole evaluation earlier: alerts of different groups are sent in no order.
    alone = f"count({told} unless on (device) {cause} offset {interval}s)"
    times = [step * interval for step in range(steps)]
    test = {
        "rule_files": [str(ROOT / "prometheus" / "rules" / name) for name in ("videos.yml", "storage.yml")],
        "evaluation_interval": f"{interval}s",
        "tests": [
            {
                "interval": f"{interval}s",
                "external_labels": {},
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    *({"expr": alone, "eval_time": f"{time}s", "exp_samples": []} for time in times),
                    {
                        "expr": f"count({told})",
                        "eval_time": f"{times[-1]}s",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    },
                ],
            }
        ],
    }
    file = tmp_path / "order_test.yml"
    file.write_text(yaml.safe_dump(test))

    assert "SUCCESS" in check(programs.promtool, "test", "rules", file)
