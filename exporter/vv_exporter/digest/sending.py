"""The digest's worker, and how it makes and mails one."""

from __future__ import annotations

import logging

from vv_exporter.context import Context
from vv_exporter.digest import digest, history
from vv_exporter.digest.chains import chain_heads
from vv_exporter.digest.footage import footage_days
from vv_exporter.digest.worker import DigestWorker
from vv_exporter.footage.statements import kept_statements

log = logging.getLogger(__name__)


def digest_worker(context: Context) -> DigestWorker | None:
    """What mails the digest; None where none is asked for."""
    settings = context.settings
    if not settings.digest_schedule:
        return None
    return DigestWorker(
        context.store,
        lambda since, until: send_digest(context, since, until),
        settings.digest_schedule,
        settings.digest_timezone,
        context.clock,
        context.monotonic,
    )


def send_digest(context: Context, since: float, until: float) -> None:
    """Make and mail the digest of that time (Unix seconds). Raises `MailError`."""
    from vv_exporter.digest import mail  # jinja2 is 4 MB, which are not held without a digest
    from vv_exporter.messages import smtp

    settings = context.settings
    kept = list(kept_statements(settings, since, until))
    found = digest(
        history.read(context.store, since, until),
        settings.device_id,
        since,
        until,
        chain_heads(settings.state_dir),
        footage_days(statement for _, _, statement in kept),
    )
    made = mail.message(found, settings.smtp_from, settings.alert_email_to, context.clock(), settings.public_url)
    mail.attach(made, {name: content for name, content, _ in kept})
    refused = smtp.send(made, settings)
    if refused:
        log.warning("the digest was refused for %s", ", ".join(refused))
