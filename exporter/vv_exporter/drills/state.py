"""What is kept of drills, and of each channel when it was last proven."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vv_exporter.common.clock import span
from vv_exporter.common.times import Deadline, UnixTime, admitted
from vv_exporter.drills.failure import Failure
from vv_exporter.drills.fingerprint import fingerprint, fits
from vv_exporter.drills.plan import Step
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

DRILL = "Drill"
"""The alert's name."""
COMPONENT = "drill"
MAX_DRILLS = 20


class Drill(msgspec.Struct, frozen=True, omit_defaults=True):
    """One drill. Times are Unix seconds, 0: not yet.

    `started` is when it was asked for, `counted` when the exporter read that, `reached` when the exporter first
    heard of it from Alertmanager. Channels are in `accepted` with the time at which they took it, or in `failed`.
    `refused` says why it was not begun at all.
    """

    id: str
    started: UnixTime
    counted: UnixTime
    ends: Deadline
    steps: tuple[Step, ...] = ()
    reached: UnixTime = 0.0
    ended: UnixTime = 0.0
    accepted: dict[str, UnixTime] = msgspec.field(default_factory=dict)
    failed: dict[str, Failure] = msgspec.field(default_factory=dict)
    refused: str = ""

    @property
    def channels(self) -> dict[str, str]:
        """Every channel that must take it, with the severity."""
        return {name: step.severity for step in self.steps for name in step.channels}

    @property
    def waiting(self) -> list[str]:
        """Channels that have neither taken it nor failed."""
        return [name for name in self.channels if name not in self.accepted and name not in self.failed]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self.ended

    def is_shown(self, now: float) -> bool:
        """Whether its alerts are to fire: not beyond its time, also where its end could not be written down."""
        return self.is_running and now < self.ends

    def seconds(self, channel: str) -> float | None:
        """How long the channel took, from the command to its acceptance."""
        return max(self.accepted[channel] - self.started, 0.0) if channel in self.accepted else None


class Proof(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a channel: since when it is known, when it last took a drill (0: never), and how many seconds that took.

    `fingerprint` is of where it leads, and `changed` when that was last changed (0: never).
    """

    since: UnixTime
    proven: UnixTime = 0.0
    seconds: float = 0.0
    fingerprint: str = ""
    changed: UnixTime = 0.0


DRILLS: Kind[Drill] = Kind("drill", Drill)
PROOFS: Kind[Proof] = Kind("channel_proof", Proof)


def is_drill(labels: Mapping[str, str]) -> bool:
    """Whether an alert with these labels is a drill's."""
    return labels.get("alertname") == DRILL


def begin_drill(tx: Transaction, drill: Drill) -> None:
    """Begin it, unless another one runs. An event that is read twice begins nothing."""
    known = tx.docs(DRILLS)
    if drill.id in known:
        return
    running = next((one for one in known.values() if one.is_running), None)
    refused: Sentence | None = None
    if running is not None:
        refused = sentence("another drill is running: {id}", id=running.id)
    elif not drill.steps:
        refused = sentence("no channel is configured that it would reach")
    elif drill.ends <= tx.now:  # nobody waits for it any more
        refused = sentence("it was asked for {time} ago, and read only now", time=span(tx.now - drill.started))
    if refused is not None:
        drill = msgspec.structs.replace(drill, ended=tx.now, refused=str(refused))
    tx.put(DRILLS, drill.id, drill)
    oldest = sorted(known.values(), key=lambda one: (one.is_running, one.counted))
    for old in oldest[: max(len(known) + 1 - MAX_DRILLS, 0)]:
        tx.delete(DRILLS, old.id)
    if refused is not None:
        title = sentence("A drill was not begun: {reason}", reason=refused)
        add_to_timeline(tx, tx.now, Entry("drill.refused", title, component=COMPONENT))
    else:
        title = sentence("A drill began: {channels}", channels=", ".join(drill.channels))
        add_to_timeline(tx, tx.now, Entry("drill.began", title, component=COMPONENT, alert_id=drill.id))


def reach_alertmanager(tx: Transaction, id_: str) -> None:
    """Alertmanager has it, and notifies of it."""
    drill = tx.get(DRILLS, id_)
    if drill is not None and not drill.reached:
        tx.put(DRILLS, id_, msgspec.structs.replace(drill, reached=tx.now))


def mute_drill(tx: Transaction, labels: Mapping[str, str], why: Failure) -> None:
    """Alertmanager holds back the alert with these labels."""
    drill = tx.get(DRILLS, labels.get("occurrence", ""))
    for step in drill.steps if drill is not None else ():
        if (step.severity, step.only) == (labels.get("severity", ""), labels.get("channel", "")):
            for channel in step.channels:
                fail_drill(tx, labels["occurrence"], channel, why)


def accept_drill(tx: Transaction, id_: str, channel: str, when: float) -> None:
    """A channel took it: it is proven, also when the drill is over."""
    drill = tx.get(DRILLS, id_)
    if drill is None or channel not in drill.channels or channel in drill.accepted:
        return
    when = admitted(when, tx.now)
    failed = {name: why for name, why in drill.failed.items() if name != channel}
    drill = msgspec.structs.replace(drill, accepted={**drill.accepted, channel: when}, failed=failed)
    tx.put(DRILLS, id_, drill)
    known = tx.get(PROOFS, channel) or Proof(tx.now)
    if drill.counted >= known.changed:  # else it may have gone where the channel led before
        seconds = drill.seconds(channel) or 0.0
        tx.put(PROOFS, channel, msgspec.structs.replace(known, proven=when, seconds=seconds))
        title = sentence("Proven by a drill: {channel}, after {time}", channel=channel, time=span(seconds))
        add_to_timeline(tx, tx.now, Entry("drill.accepted", title, component=COMPONENT, alert_id=id_))
    _end_if_answered(tx, drill)


def know_channels(tx: Transaction, addresses: Mapping[str, str]) -> None:
    """These are the channels, and where they lead. A proof is of the address and the credentials it was made with."""
    known = tx.docs(PROOFS)
    for name in known.keys() - addresses.keys():
        tx.delete(PROOFS, name)
    for name, address in addresses.items():
        proof = known.get(name)
        if proof is None:
            tx.put(PROOFS, name, Proof(tx.now, fingerprint=fingerprint(address)))
        elif not proof.fingerprint:  # of a version that kept none
            tx.put(PROOFS, name, msgspec.structs.replace(proof, fingerprint=fingerprint(address)))
        elif not fits(proof.fingerprint, address):
            tx.put(PROOFS, name, Proof(tx.now, fingerprint=fingerprint(address), changed=tx.now))
            title = sentence("No longer proven by a drill: {channel}, since its settings were changed", channel=name)
            add_to_timeline(tx, tx.now, Entry("drill.outdated", title, component=COMPONENT))


def fail_drill(tx: Transaction, id_: str, channel: str, why: Failure) -> None:
    """A channel did not take it."""
    drill = tx.get(DRILLS, id_)
    if drill is None or not drill.is_running or channel not in drill.waiting:
        return
    drill = msgspec.structs.replace(drill, failed={**drill.failed, channel: why})
    tx.put(DRILLS, id_, drill)
    title = sentence("A drill failed: {channel}", channel=channel)
    add_to_timeline(tx, tx.now, Entry("drill.failed", title, "warning", COMPONENT, details=why.reason, alert_id=id_))
    _end_if_answered(tx, drill)


def _end_if_answered(tx: Transaction, drill: Drill) -> None:
    if drill.is_running and not drill.waiting:
        tx.put(DRILLS, drill.id, msgspec.structs.replace(drill, ended=tx.now))
