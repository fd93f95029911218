"""What the SDK wrote of a failure is quoted in the language of the people who are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.journal.conftest import Journal
from vv_exporter.language import speaking, speaking_everywhere
from vv_exporter.state.failures import FAILURES
from vv_exporter.state.timeline import Filter, read

UNFIT = "the signature does not fit: the data was changed, or the key is another"
SIGNATURE = {"operation": "verify", "result": "failed", "reason": "mismatch", "key_id": "main", "error": UNFIT}


@pytest.mark.parametrize(
    ("event", "fields", "english", "portuguese"),
    [
        ("stage.finished", {"run": "r", "stage": "scan", "seconds": 1, "outcome": "failure", "error": "exit code 3"},
         "exit code 3", "código de saída 3"),
        ("job.finished", {"run": "r", "job": "nightly", "seconds": 1, "result": "failure", "error": "exit code 3"},
         "exit code 3", "código de saída 3"),
        ("video.exhausted", {"id": "1", "stage": "scan", "attempts": 3, "video": "a.mp4", "error": "exit code 3"},
         "exit code 3", "código de saída 3"),
        ("hmac", SIGNATURE, f"mismatch (key main): {UNFIT}",
         "mismatch (chave main): a assinatura não confere: os dados foram alterados, ou a chave é outra"),
        ("hmac", {**SIGNATURE, "key_id": "", "reason": ""}, f"failed: {UNFIT}",
         "failed: a assinatura não confere: os dados foram alterados, ou a chave é outra"),
        ("schema.validated",
         {"schema": "logline", "result": "invalid", "path": "/line", "error": "too long", "excerpt": "{x"},
         "/line: too long; it begins: {x", "/line: too long; começa com: {x"),
    ],
)  # fmt: skip
def test_it_is_quoted_in_their_language(
    journal: Journal, event: str, fields: dict[str, Any], english: str, portuguese: str
) -> None:
    with speaking_everywhere("pt-BR"):
        journal.writer().event(event, **fields)
        journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert failure.error.startswith(portuguese)
    for name, said in (("en", english), ("pt-BR", portuguese)):
        with speaking(name):
            assert said in read(journal.store, Filter()).moments[0].details


def test_an_overrun_is_quoted_in_their_language(make_journal: Callable[..., Journal], tmp_path: Path) -> None:
    (tmp_path / "vv.yml").write_text("stages: {scan: {limit: 5s}}")
    journal = make_journal(VV_CONFIG=str(tmp_path / "vv.yml"))
    with speaking_everywhere("pt-BR"):
        writer = journal.writer()
        writer.event("stage.started", run="r", stage="scan")
        writer.event("stage.finished", run="r", stage="scan", seconds=9, outcome="success")
        journal.read()

    (failure,) = journal.store.docs(FAILURES).values()
    assert failure.error == "A etapa scan leva mais de 5 s"
