"""That a channel did not take a drill: why, and what to do about it."""

from __future__ import annotations

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """`reason` is a clause, `cure` a command or a line."""

    reason: str
    cure: str


SILENCED = Failure(
    "silenced: a silence in Alertmanager holds it back",
    "end the silence (Silences in Alertmanager, or `amtool silence query`) and drill again",
)
INHIBITED = Failure(
    "inhibited: a rule of Alertmanager's that is not the exporter's own hides it",
    "take Drill out of that rule, or render the configuration again: vv config render --out DIR",
)
WEBHOOK_REFUSED = Failure(
    "the webhook refuses it for good: see app.log", "grep 'webhook: ' app.log; then the runbook WebhookFailing"
)


def given_up(channel: str, error: str) -> Failure:
    """Alertmanager gave up on it, with what was said."""
    return Failure(error or "Alertmanager gave up", ask_provider(channel))


def ask_provider(channel: str) -> str:
    """How to ask the provider for its answer."""
    return f"vv notify test --channel {channel}"
