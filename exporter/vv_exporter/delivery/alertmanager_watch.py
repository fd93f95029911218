"""Looks at Alertmanager: whether it answers, since when not, and what its own metrics say of each channel.

The time that it does not answer is added up while somebody looks: a device that was off, or a clock that is set, makes
no outage. It is kept across restarts of the exporter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.alertmanager.server_client import ServerClient, ServerError
from vv_exporter.channels import all_channels
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery import channel_health
from vv_exporter.state.store import Kind, Store, Transaction

INTERVAL = 5.0  # seconds between polls
LONGEST_STEP = 3 * INTERVAL  # what one poll may add: more has passed only when the machine slept
TIMEOUT = (2.0, 3.0)
SAVED = 15.0  # seconds of an outage between writes to the disk

_OF_INTEREST = re.compile(
    r"^(?:process_start_time_seconds|alertmanager_notification(?:s_failed|_requests|_requests_failed)_total)\b"
)
OWN = ("log", "alert-path")
"""Receivers that are the exporter itself: no channels."""
# https://github.com/prometheus/alertmanager/blob/main/notify/util.go, the reasons of a failure.
REASONS = {
    "clientError": "refused by the provider (4xx)",
    "authError": "the provider does not accept the key or password (401, 403)",
    "rateLimited": "too many messages for the provider (429)",
    "serverError": "the provider has trouble (5xx)",
    "contextDeadlineExceeded": "no answer in time",
    "contextCanceled": "cut short",
}
REFUSALS = frozenset({"clientError", "authError"})
"""Of these: the provider says no, and will say it again."""


class Counts(msgspec.Struct, frozen=True):
    """Alertmanager's counts of one channel: attempts, those that failed, and notifications given up after some.

    Its count of notifications is of no use here: it counts one when it begins.
    """

    attempts: float = 0.0
    failed_attempts: float = msgspec.field(default=0.0, name="in_vain")
    given_up: float = 0.0
    reasons: dict[str, float] = msgspec.field(default_factory=dict)


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of Alertmanager: seconds without an answer, since when (Unix seconds), and its counts.

    `started` is the start of the process that the counts are of.
    """

    down: float = 0.0
    since: UnixTime = 0.0
    started: float = 0.0
    counts: dict[str, Counts] = msgspec.field(default_factory=dict)


SEEN: Kind[Seen] = Kind("alertmanager", Seen)


class Sample(NamedTuple):
    """Its metrics, as far as they are of interest."""

    started: float
    counts: dict[str, Counts]


class Watch:
    """Call `look` every `INTERVAL` seconds. `ask` gives the text of its metrics or raises `DeliveryError`.

    `enough` is how many seconds make an outage.
    """

    def __init__(
        self,
        store: Store,
        ask: Callable[[], str],
        enough: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._ask = ask
        self._enough = enough
        self._monotonic = monotonic
        self._looked: float | None = None
        self._answered = True
        self._seen = store.document(SEEN, "") or Seen()
        self._saved = self._seen.down

    @property
    def seen(self) -> Seen:
        """What is known now."""
        return self._seen

    def outage(self) -> bool:
        """Whether it has not answered for long enough."""
        return self._seen.down >= self._enough

    def until_outage(self) -> float:
        """Seconds from now in which there will be no outage yet, whatever the next polls show; 0 in one."""
        looked_ago = 0.0 if self._looked is None else max(self._monotonic() - self._looked, 0.0)
        unanswered = looked_ago if self._seen.down else 0.0
        return max(self._enough - self._seen.down - unanswered, 0.0)

    def poll(self, *, is_accepting: bool) -> bool:
        """Ask it, and keep what it said. Gives whether it answers again, and what waits is to be tried at once.

        `is_accepting` says whether it took the alerts that it was sent last.
        """
        try:
            sample = parse(self._ask())
        except (DeliveryError, ValueError):  # an answer that is none of its own is none
            self._answered = False
            self._add_up()
            return False
        is_back, self._answered = not self._answered, True
        if not is_accepting:
            if not is_back:  # else it has not been asked to take anything yet
                self._add_up()
        elif self._seen.down:
            self._seen = msgspec.structs.replace(self._seen, down=0.0, since=0.0)
            self._saved = 0.0
        self._looked = self._monotonic()
        with self._store.transaction() as tx:
            self._count_sample(tx, sample)
        return is_back

    def _add_up(self) -> None:
        now = self._monotonic()
        passed = min(now - self._looked, LONGEST_STEP) if self._looked is not None else 0.0
        self._looked = now
        with self._store.transaction() as tx:
            since = self._seen.since or tx.now
            self._seen = msgspec.structs.replace(self._seen, down=self._seen.down + passed, since=since)
            if self._seen.down - self._saved >= SAVED or not self._saved:
                self._save_seen(tx)

    def _save_seen(self, tx: Transaction) -> None:
        tx.put(SEEN, "", self._seen)
        self._saved = self._seen.down

    def _count_sample(self, tx: Transaction, sample: Sample) -> None:
        before = self._seen
        if sample.started == before.started and sample.counts == before.counts and tx.get(SEEN, "") == before:
            return
        if before.started:  # what it counted before anybody looked is of another time
            # The start is reckoned by the clock, and moves when that is set; counts begin at 0 in a new process only.
            same = sample.started == before.started or _continues_counts(sample.counts, before.counts)
            _count_failures(tx, sample.counts, before.counts if same else {})
        self._seen = msgspec.structs.replace(before, started=sample.started, counts=sample.counts)
        self._save_seen(tx)


def _continues_counts(counts: Mapping[str, Counts], before: Mapping[str, Counts]) -> bool:
    return all(
        channel in counts and (counts[channel].attempts, counts[channel].given_up) >= (then.attempts, then.given_up)
        for channel, then in before.items()
    )


def _count_failures(tx: Transaction, counts: Mapping[str, Counts], before: Mapping[str, Counts]) -> None:
    for channel, now in counts.items():
        then = before.get(channel, Counts())
        failed_attempts, given_up = now.failed_attempts - then.failed_attempts, now.given_up - then.given_up
        took = now.attempts - then.attempts - failed_attempts
        if failed_attempts > 0:
            channel_health.tried(tx, channel)
        if took > 0:
            channel_health.took(tx, channel, took)
        if given_up > 0:
            grown = [why for why, count in now.reasons.items() if count > then.reasons.get(why, 0.0)]
            said = ", ".join(REASONS.get(why, "see Alertmanager's log") for why in grown)
            record_failure = channel_health.refused if REFUSALS.intersection(grown) else channel_health.failed
            record_failure(tx, channel, f"Alertmanager gave up: {said}", given_up)


def parse(text: str) -> Sample:
    """What its metrics say by channel. Raises `ValueError` for what are none."""
    lines = "\n".join(line for line in text.splitlines() if _OF_INTEREST.match(line))
    started = 0.0
    found: dict[str, dict[str, float]] = {}
    reasons: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(lines + "\n"):
        for sample in family.samples:
            if sample.name == "process_start_time_seconds":
                started = sample.value
                continue
            channel = channel_of(sample.labels.get("integration", ""), sample.labels.get("receiver_name", ""))
            counts = found.setdefault(channel, {})
            counts[sample.name] = counts.get(sample.name, 0.0) + sample.value
            if "reason" in sample.labels:
                why = reasons.setdefault(channel, {})
                why[sample.labels["reason"]] = why.get(sample.labels["reason"], 0.0) + sample.value
    return Sample(started, dict(_counts_of_samples(found, reasons)))


def _counts_of_samples(
    found: Mapping[str, Mapping[str, float]], reasons: Mapping[str, Mapping[str, float]]
) -> Iterable[tuple[str, Counts]]:
    for channel, values in found.items():
        if channel and channel not in OWN:
            yield (
                channel,
                Counts(
                    values.get("alertmanager_notification_requests_total", 0.0),
                    values.get("alertmanager_notification_requests_failed_total", 0.0),
                    values.get("alertmanager_notifications_failed_total", 0.0),
                    dict(reasons.get(channel, {})),
                ),
            )


def channel_of(integration: str, receiver: str) -> str:
    """The channel's name: several receivers are webhooks, and each is a channel of its own."""
    if integration != "webhook":
        return integration
    return next((channel.name for channel in all_channels() if channel.receiver == receiver), receiver)


class Metrics:
    """Asks an Alertmanager at `url` (without a slash at the end) for its metrics."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/metrics"
        self._client = ServerClient(url, TIMEOUT)

    def __call__(self) -> str:
        """Their text. Raises `DeliveryError`."""
        try:
            answer = self._client.get("/metrics")
        except ServerError as error:
            raise DeliveryError(f"{self._url}: {error}") from error
        if answer.status != 200:
            raise DeliveryError(f"{self._url} answered {answer.status}")
        return answer.text
