"""A Prometheus with a past: the series of the rules' unit tests as its history, and going on as they were at the end.

The rules are those of the product. Changed is one thing, and only a time: no alert waits longer than `WAIT` (`for`).
Expressions, windows, labels, annotations and `keep_firing_for` are as they stand; promtool proves the waits.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.support.proofs import Proof, seconds
from tests.support.servers import Programs, Prometheus, check

WAIT = 10  # seconds
# What fires at Prometheus' first evaluation comes before it knows Alertmanager, and is sent again after this: 1 m.
AGAIN = "--rules.alert.resend-delay=2s"
PREFIX = "own_"


@contextmanager
def prometheus_with_a_past(
    config: Path, folder: Path, programs: Programs, proofs: Sequence[Proof]
) -> Iterator[Prometheus]:
    """Run the rendered `config` on what the proofs' series were until now. It sends the proofs' alerts, and no others
    that their series may bring about."""
    now = time.time()
    folder.mkdir(parents=True, exist_ok=True)
    _write_history(folder, programs, proofs, now)
    _write_records(config.parent / "rules", folder, programs, proofs, now)
    held = [line for proof in proofs for line in proof.held(now, PREFIX)]
    gone = [line for proof in proofs for line in proof.gone(now, PREFIX)]
    with _serving(held + gone, held) as port:
        document = yaml.safe_load(config.read_text())
        document["scrape_configs"] = [_scraping(port)]
        document["alerting"]["alert_relabel_configs"] = [_only(proofs)]
        config.write_text(yaml.safe_dump(document))
        for rules in (config.parent / "rules").glob("*.yml"):
            rules.write_text(yaml.safe_dump(_hastened(yaml.safe_load(rules.read_text())), width=1000))
        with Prometheus(config, folder, programs, None, AGAIN) as prometheus:
            yield prometheus


def _write_history(folder: Path, programs: Programs, proofs: Sequence[Proof], now: float) -> None:
    history = folder / "history.om"
    history.write_text("\n".join([*(line for proof in proofs for line in proof.history(now)), "# EOF", ""]))
    check(programs.promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", history, folder / "data")


def _write_records(rules: Path, folder: Path, programs: Programs, proofs: Sequence[Proof], now: float) -> None:
    """The past of recorded series, where an alert looks back at one."""
    documents = [yaml.safe_load(file.read_text()) for file in sorted(rules.glob("*.yml"))]
    every = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    read = " ".join(rule["expr"] for rule in every)
    wanted = [
        rule for rule in every if "record" in rule and re.search(re.escape(rule["record"]) + r"(\{[^}]*\})?\[", read)
    ]
    records, alone = folder / "records.yml", folder / "alone.yml"
    records.write_text(yaml.safe_dump({"groups": [{"name": "records", "rules": wanted}]}))
    alone.write_text("{}")
    with Prometheus(alone, folder, programs) as prometheus:
        start, output = f"--start={now - max(proof.at for proof in proofs):.0f}", f"--output-dir={folder / 'data'}"
        url = f"--url={prometheus.url}"
        check(programs.promtool, "tsdb", "create-blocks-from", "rules", start, f"--end={now:.0f}", url, output, records)


@contextmanager
def _serving(*pages: list[str]) -> Iterator[int]:
    """A target that has these pages, one after the other, and then the last one always; yields its port."""
    rest = [("\n".join(page) + "\n").encode() for page in pages]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(rest.pop(0) if len(rest) > 1 else rest[0])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _scraping(port: int) -> dict[str, Any]:
    """Series keep exactly the labels that they have of their own, `job` and `instance` included."""
    return {
        "job_name": "past",
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        "metric_relabel_configs": [
            {"action": "labeldrop", "regex": "job|instance"},
            {"action": "labelmap", "regex": f"{PREFIX}(.+)"},
            {"action": "labeldrop", "regex": f"{PREFIX}.+"},
        ],
    }


def _only(proofs: Sequence[Proof]) -> dict[str, Any]:
    names = sorted({name for proof in proofs for name in proof.labels})
    wanted = "|".join(";".join(_quoted(proof.labels.get(name, "")) for name in names) for proof in proofs)
    return {"action": "keep", "source_labels": names, "regex": wanted}


def _quoted(text: str) -> str:
    r"""As a part of a regular expression of RE2, which does not know all of the escapes of `re.escape`."""
    return "".join(char if char.isalnum() or char == "_" else f"\\x{{{ord(char):x}}}" for char in text)


def _hastened(document: dict[str, Any]) -> dict[str, Any]:
    for group in document["groups"]:
        for rule in group["rules"]:
            if "for" in rule and seconds(rule["for"]) > WAIT:
                rule["for"] = f"{WAIT}s"
    return document
