"""What the generic webhook gets, in the form of `webhook.schema.json`: docs/webhook.md has it for those who receive."""

from __future__ import annotations

import msgspec

NO_VIDEO = "N/A"


class Event(msgspec.Struct, frozen=True):
    """What is posted: these fields, all of them strings, and no other."""

    timestamp: str
    severity: str
    source_component: str
    hostname: str
    title: str
    message_details: str
    suggested_actions: str
    video_file_context: str
    alert_id: str
