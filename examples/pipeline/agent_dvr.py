"""The agent: gets the stream of a DVR, and stores it in ``input/`` as videos of a minute.

    DVR_URL=rtsp://10.0.0.5/live DVR_USERNAME=viewer DVR_PASSWORD_FILE=/etc/vv/dvr-password agent_dvr.py front

Shows `DvrLink`, which reports each attempt and the frames that come, and makes the pauses between attempts; and
`ingest_allowed`, which says no while the disk is critically full.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from time import gmtime, strftime
from urllib.parse import quote, urlsplit

import av
from av.video.stream import VideoStream
from storage import folder

from vv_core.dvr import DvrLink
from vv_core.guard import guard
from vv_core.ingest import ingest_allowed
from vv_core.logs import setup_logging

SECONDS = float(os.environ.get("VIDEO_SECONDS", "60"))
FROZEN = float(os.environ.get("FROZEN_SECONDS", "5"))  # without a frame; then the stream is asked for anew


def main(name: str) -> None:
    """Get the stream until SIGTERM."""
    setup_logging("agent_dvr.py")
    av.logging.set_level(av.logging.ERROR)  # so that errors say why
    url = address()
    link = DvrLink(name, url=url, stall=FROZEN)
    signal.signal(signal.SIGTERM, lambda *_: link.stop())
    for left in folder("input").glob(f"{name}-*.part"):  # by an agent that was killed
        left.unlink()
    for attempt in link.attempts():
        with attempt:
            receive(url, link)


def receive(url: str, link: DvrLink) -> None:
    """Store the stream until it ends, or the link is to end. Raises what DvrLink knows the reasons of."""
    parts = urlsplit(url)
    socket.create_connection((parts.hostname, parts.port or 554), timeout=10).close()  # its errors are the clearest
    try:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(10, FROZEN + 1)) as source:
            for number, packets in groupby(frames(source, link), Cutter()):
                if number and ingest_allowed():  # before the first key frame nothing can be decoded
                    store(f"{link.name}-{strftime('%Y%m%dT%H%M%SZ', gmtime())}", source.streams.video[0], packets)
    except av.error.FFmpegError:
        link.check()  # no frame in time, though there is a DVR
        raise


def address() -> str:
    """The stream's address, with user and password."""
    scheme, _, rest = os.environ["DVR_URL"].partition("://")
    if not (user := os.environ.get("DVR_USERNAME")):
        return f"{scheme}://{rest}"
    password = Path(os.environ["DVR_PASSWORD_FILE"]).read_text(encoding="utf-8").rstrip("\n")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def frames(source: av.container.InputContainer, link: DvrLink) -> Iterator[av.Packet[VideoStream]]:
    """The stream's encoded frames, each reported."""
    for packet in source.demux(video=0):
        if packet.dts is not None:
            link.frame()
            yield packet
        if link.stopped:
            return


class Cutter:
    """The number of the video that a frame belongs to: 0 before the first key frame, a further one every minute."""

    def __init__(self) -> None:
        self._number, self._end = 0, float("-inf")

    def __call__(self, packet: av.Packet[VideoStream]) -> int:
        now = float((packet.dts or 0) * packet.time_base)
        if packet.is_keyframe and now >= self._end:
            self._number, self._end = self._number + 1, now + SECONDS
        return self._number


def store(name: str, stream: VideoStream, packets: Iterator[av.Packet[VideoStream]]) -> None:
    """Write a video, which gets its name when it is complete, or when the stream is lost."""
    part = folder("input") / f"{name}.part"
    try:
        with av.open(part, "w", format="mp4", options={"avoid_negative_ts": "make_zero"}) as video:
            track = video.add_stream_from_template(stream)
            for packet in packets:
                packet.stream = track
                video.mux(packet)
    finally:
        part.rename(part.with_suffix(".mp4"))


if __name__ == "__main__":
    with guard(then="exit"):
        main(sys.argv[1])
