"""Make small real videos to play with: clips of moving blocks, and files that only look like videos.

``make_videos.py FOLDER`` writes one of each.
"""

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av

FPS = 25
WIDTH, HEIGHT = 320, 180
BLOCK = 60


Codec = Literal["libx264", "mpeg4"]


@dataclass(frozen=True)
class Scene:
    """A block on a background: brightness 0 to 255, speed in pixels a frame."""

    seconds: float
    background: int
    speed: int


def make_clip(path: Path, scenes: list[Scene], codec: Codec = "libx264") -> None:
    """Write a clip. Its index stands at its beginning, so that a part of the file is still a video."""
    options = {"preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for scene in scenes:
            for number in range(round(scene.seconds * FPS)):
                container.mux(stream.encode(_frame(scene, number * scene.speed)))
        container.mux(stream.encode())


def make_cut_off(path: Path) -> None:
    """Write the first part of a clip, as a crash or a full disk leaves it."""
    make_clip(path, any_scenes())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def make_flicker(path: Path, scenes: int) -> None:
    """Write a clip in which the light goes on and off."""
    make_clip(path, [Scene(0.16, (30, 200)[number % 2], 1) for number in range(scenes)])


def make_text(path: Path) -> None:
    """Write what is no video at all."""
    path.write_text("Connection to camera lost\n" * 100, encoding="utf-8")


def any_scenes(seconds: float = 4) -> list[Scene]:
    """Two scenes, never the same."""
    first = Scene(seconds / 2, random.randint(20, 60), random.randint(1, 5))
    return [first, Scene(seconds / 2, random.randint(140, 200), random.choice((0, 2)))]


def _frame(scene: Scene, at: int) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    luma, *chroma = frame.planes
    width = luma.line_size
    picture = bytearray([scene.background]) * luma.buffer_size
    left = at % (WIDTH - BLOCK)
    for row in range(BLOCK, 2 * BLOCK):
        start = row * width + left
        picture[start : start + BLOCK] = bytes([255 - scene.background]) * BLOCK
    luma.update(bytes(picture))
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    return frame


def main(target: Path) -> int:
    """Write one of each."""
    target.mkdir(parents=True, exist_ok=True)
    make_clip(target / "front-door.mp4", any_scenes())
    make_clip(target / "garage.mp4", any_scenes(8), codec="mpeg4")
    make_cut_off(target / "cut-off.mp4")
    make_text(target / "no-video.mp4")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
