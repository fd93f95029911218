"""Opsgenie's Alert API (https://docs.opsgenie.com/docs/alert-api), which ends in April 2027."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote

from vv_exporter.channels import Answer, Channel, Entry
from vv_exporter.channels._http import post
from vv_exporter.messages.message import Message, line, plain
from vv_exporter.settings import Settings

PRIORITIES = {"critical": "P1", "error": "P2", "warning": "P3", "info": "P5"}


@dataclass(frozen=True)
class Opsgenie:
    """Makes and closes alerts with the secret `key`."""

    url: str
    key: str = field(repr=False)
    name = "opsgenie"
    title = "Opsgenie"

    def send(self, message: Message) -> Answer:
        """Create an alert, or close it."""
        if message.resolved:
            return self._close_alert(message)
        document = {
            "message": line(f"{message.status}: {message.title}", 130),
            "alias": message.key[:512],
            "description": plain(message)[:15_000],
            "source": message.device[:100],
            "entity": line(message.component, 100),
            "priority": PRIORITIES.get(message.severity, "P2"),
        }
        return self._post_alert("/v2/alerts", document)

    def test(self, message: Message) -> Answer:
        """Create an alert of the lowest priority and close it at once."""
        answer = self.send(message)
        self._close_alert(message)
        return answer

    def _close_alert(self, message: Message) -> Answer:
        return self._post_alert(f"/v2/alerts/{quote(message.key[:512], safe='')}/close?identifierType=alias", {})

    def _post_alert(self, path: str, document: dict[str, str]) -> Answer:
        headers = {"Authorization": f"GenieKey {self.key}"}
        return post(self.url + path, document, secrets=(self.key,), headers=headers)


def _adapt_entry(entry: Entry, settings: Settings) -> Entry:
    return entry | {"api_url": f"{settings.opsgenie_api_url}/"}


CHANNEL = Channel(
    name=Opsgenie.name,
    title=Opsgenie.title,
    kind="pager",
    needs=("opsgenie_api_key",),
    build=lambda settings: Opsgenie(settings.opsgenie_api_url, settings.opsgenie_api_key.value),
    addressed_by=("opsgenie_api_url", "opsgenie_api_key"),
    secrets={"opsgenie-api-key": lambda settings: settings.opsgenie_api_key},
    adapt=_adapt_entry,
)
