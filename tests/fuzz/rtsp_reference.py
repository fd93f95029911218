"""The probe of a DVR beside ffmpeg's client: what one plays the other calls up, or the reason is known.

    python -m tests.fuzz.rtsp_reference --dialogues 10000 --seed 1

Each dialogue is played to both by `tests.fuzz.cameras`. A difference is tried once more, with patience, so that a slow
machine is no reason; what then remains must be explained by one of `EXPLAINED`.
"""

from __future__ import annotations

import argparse
import collections
import copy
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import av.error
import av.logging

from tests.fuzz.cameras import PASSWORD, USER, Camera, Dialogue, bend, recorded
from vv_exporter.probes.rtsp import Answer, Resolver, probe
from vv_exporter.settings import Dvr, Secret

SECONDS, PATIENT_SECONDS = 3.0, 8.0


class Seen(NamedTuple):
    """A dialogue, what the probe said of it, and whether ffmpeg got two frames of it; else its error."""

    dialogue: Dialogue
    ours: Answer
    plays: bool
    error: str

    @property
    def differs(self) -> bool:
        return (self.ours.result == "ok") != self.plays

    def __str__(self) -> str:
        ours = f"{self.ours.result} {self.ours.error!r}"
        return f"{self.dialogue.changes} {self.dialogue.challenge}: {ours}, ffmpeg {self.plays} {self.error!r}"


def _changed(*names: str) -> Callable[[Seen], bool]:
    return lambda seen: any(change.split()[0] in names for change in seen.dialogue.changes)


def _refused_options(seen: Seen) -> bool:
    return " 200 " not in f"{seen.dialogue.answers['OPTIONS'].status} "


def _challenge(pattern: str) -> Callable[[Seen], bool]:
    return lambda seen: any(re.search(pattern, one) for one in seen.dialogue.challenge)


def _unnamed_source(seen: Seen) -> bool:
    named = any("ssrc=" in header.lower() for header in seen.dialogue.answers["SETUP"].headers)
    return _changed("packets_of_a_session_before")(seen) and not named and not seen.plays


STRICTER: list[tuple[str, Callable[[Seen], bool]]] = [
    ("a 401 after which the camera closes: ffmpeg gives up, the probe connects again as live555 does",
     lambda seen: seen.dialogue.refusal.closes),
    ("OPTIONS refused: ffmpeg ends there, DESCRIBE decides for the probe as for live555", _refused_options),
    ("1xx says that more is to come (RFC 2326, 7.1.1): to ffmpeg it is the answer", _changed("provisional")),
    ("an answer to an earlier request: ffmpeg does not look at the numbers, and takes it", _changed("late_answers")),
    ("requests of the camera: ffmpeg takes one for an answer, and its body for the next",
     _changed("requests_of_the_camera")),
    ("bytes before an answer, or a body longer than it says: ffmpeg takes them for the answer, the probe looks for its "
     "beginning", _changed("junk_before_an_answer", "lengths")),
    ("bytes between packets: ffmpeg loses packets, the probe looks for the next as live555 does",
     _changed("junk_between_packets", "junk_between_all_packets")),
    ("SHA-256 (RFC 7616): ffmpeg answers MD5 only", _challenge("SHA-256")),
    ("quotes within quotes, or no realm: ffmpeg reads another one", _challenge(r'\\"|(?i:: *basic$)')),
    ("a transport that ffmpeg does not read as RTP by TCP, where packets come on the channels that were asked for",
     _changed("transports", "no_transport")),
    ("frames in a format that ffmpeg cannot unpack: the probe looks at their heads alone",
     _changed("descriptions", "packets")),
    ("the second frame is not complete: the probe saw it begin", _changed("cut")),
    ("a status line or a header beside the grammar: the probe takes the code",
     _changed("status_lines", "shapes_of_headers")),
    ("packets of another session: ffmpeg takes them for the answer", _changed("packets_of_a_session_before")),
    ("a redirect that ffmpeg does not follow", lambda seen: seen.dialogue.moved is not None),
]  # fmt: skip
"""Why the probe may see a stream where ffmpeg sees none: true only where the camera did send two frames."""
LOOSER: list[tuple[str, Callable[[Seen], bool]]] = [
    (
        "PLAY is refused, and packets come all the same: ffmpeg took something else for the answer",
        lambda seen: (
            _changed("requests_of_the_camera", "late_answers")(seen)
            and " 200 " not in f"{seen.dialogue.answers['PLAY'].status} "
        ),
    ),
    (
        "an answer that does not begin as one of RTSP: ffmpeg passes over it, it may be another protocol",
        lambda seen: any(not answer.status.upper().startswith("RTSP/") for answer in seen.dialogue.answers.values()),
    ),
    (
        "a camera that refuses with 200 and bytes before an answer: ffmpeg takes those for a request, replies, and "
        "takes the challenge for an answer to OPTIONS",
        lambda seen: _changed("junk_before_an_answer")(seen) and " 401" not in seen.dialogue.refusal.status,
    ),
]
"""Why ffmpeg may play what is not up for the probe."""


def sent(dialogue: Dialogue) -> bool:
    """Whether the camera sends two frames of this session."""
    return len({data[4:8] for _, data in dialogue.packets if len(data) >= 12 and data[0] >> 6 == 2}) > 1


def explanation(seen: Seen) -> str:
    """The first reason that fits, "" without one."""
    if _unnamed_source(seen):
        return "the camera names no source: what comes on its channel once PLAY was sent is taken for this session's"
    if seen.ours.result == "ok" and not sent(seen.dialogue):
        return ""
    reasons = LOOSER if seen.plays else STRICTER
    return next((why for why, fits in reasons if fits(seen)), "")


def play(port: int, seconds: float) -> tuple[bool, str]:
    """Whether ffmpeg finds a stream with two frames, and what it says if not."""
    times: set[int | None] = set()
    options = {"rtsp_transport": "tcp", "analyzeduration": "0", "probesize": "32", "fflags": "nobuffer"}
    try:
        with av.open(
            f"rtsp://{USER}:{PASSWORD.replace(':', '%3A')}@127.0.0.1:{port}/live",
            options=options,
            timeout=(seconds, seconds),
        ) as container:
            for packet in container.demux():
                if packet.size:
                    times.add(packet.dts if packet.dts is not None else packet.pts)
                if len(times) > 1:
                    return True, ""
    except (av.error.FFmpegError, ValueError) as error:
        return len(times) > 1, str(error)
    return False, f"{len(times)} frames"


def ask(camera: Camera, dialogue: Dialogue, seconds: float) -> Seen:
    """Play it to both."""
    camera.dialogue = dialogue
    dvr = Dvr("127.0.0.1", camera.port, "/live", USER, Secret(PASSWORD), timeout=seconds)
    ours = probe(dvr, Resolver("127.0.0.1", camera.port))
    return Seen(dialogue, ours, *play(camera.port, seconds))


def compare(seed: int, dialogues: int) -> Iterator[Seen]:
    """Play so many dialogues."""
    av.logging.set_level(None)
    rng = random.Random(seed)
    with Camera() as camera:
        for _ in range(dialogues):
            dialogue = bend(rng, copy.deepcopy(recorded()))
            seen = ask(camera, dialogue, SECONDS)
            if seen.differs and not explanation(seen):
                seen = ask(camera, dialogue, PATIENT_SECONDS)
            yield seen


def main() -> None:
    """Compare, and print what is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20261129)
    parser.add_argument("--dialogues", type=int, default=1000)
    options = parser.parse_args()
    began, counts, unexplained = time.monotonic(), collections.Counter[str](), 0
    for number, seen in enumerate(compare(options.seed, options.dialogues)):
        why = explanation(seen) if seen.differs else "both play it" if seen.plays else "neither plays it"
        counts[why or "UNEXPLAINED"] += 1
        if not why:
            unexplained += 1
            print(number, seen, flush=True)
        if number % 100 == 99:
            print(f"{number + 1} dialogues, {unexplained} unexplained", flush=True)
    for why, count in counts.most_common():
        print(f"{count:6} {why}")
    took = time.monotonic() - began
    print(f"{options.dialogues} dialogues, seed {options.seed}, {took:.0f} s, {unexplained} unexplained")


if __name__ == "__main__":
    main()
