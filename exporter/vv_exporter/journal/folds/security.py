"""Validations of JSON and uses of signatures."""

from __future__ import annotations

from vv_exporter.footage import segments
from vv_exporter.journal.events import HmacUsed, SchemaValidated
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sdk import OF_SIGNATURES, joined, spoken, understood
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.settings import Settings
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline


def validated(tx: Transaction, event: SchemaValidated, source: Source, settings: Settings) -> None:
    """A document was validated; what is not said to be valid is invalid."""
    component = event.component or source.component
    tx.ensure(SCHEMA_VALIDATIONS, *((event.schema, component, result) for result in ("valid", "invalid")))
    if event.result == "valid":
        tx.inc(SCHEMA_VALIDATIONS, (event.schema, component, "valid"))
        return
    tx.inc(SCHEMA_VALIDATIONS, (event.schema, component, "invalid"))
    where = f"{event.path}: " if event.path else ""
    error: Sentence | str = f"{where}{event.error}"
    if event.excerpt:
        error = sentence("{error}; it begins: {excerpt}", error=error, excerpt=event.excerpt)
    title = sentence("JSON is not valid by the schema {schema}", schema=event.schema)
    _record_failure(tx, f"schema:{event.schema}", component, event, error, title, "error")


def hmac(tx: Transaction, event: HmacUsed, source: Source, settings: Settings) -> None:
    """A signature was made or checked; what is not said to have gone well has failed."""
    component = event.component or source.component
    operation = "sign" if event.operation == "sign" else "verify"
    tx.ensure(HMAC_OPERATIONS, *((operation, component, result) for result in ("ok", "failed")))
    if event.result == "ok":
        tx.inc(HMAC_OPERATIONS, (operation, component, "ok"))
        if operation == "sign" and segments.are_there(tx):
            segments.done(tx, "signed", event.video, event.video_sha256)
        return
    tx.inc(HMAC_OPERATIONS, (operation, component, "failed"))
    reason, why = event.reason or "failed", understood(event.error, OF_SIGNATURES)
    if event.key_id:
        error: Sentence | str = sentence("{reason} (key {key}): {why}", reason=reason, key=event.key_id, why=why)
    else:
        error = joined("{reason}: {why}", reason=reason, why=why)
    signing = operation == "sign"
    title = sentence("A payload could not be signed") if signing else sentence("A signature could not be verified")
    _record_failure(tx, f"hmac:{operation}", component, event, error, title, "critical")


def _record_failure(
    tx: Transaction,
    kind: str,
    component: str,
    event: SchemaValidated | HmacUsed,
    error: Sentence | str,
    title: Sentence,
    severity: str,
) -> None:
    family = "schema.invalid" if isinstance(event, SchemaValidated) else "hmac.failed"
    add_to_timeline(tx, event.ts, Entry(family, title, severity, component, error, event.video, event.video_sha256))
    remember(
        tx,
        Failure(
            component=component,
            kind=kind,
            time=event.ts,
            video=shorten(event.video, MAX_NAME),
            video_sha256=shorten(event.video_sha256, 64),
            error=shorten(spoken(error), MAX_ERROR),
        ),
    )


HANDLERS: dict[type, Handler] = {SchemaValidated: validated, HmacUsed: hmac}
