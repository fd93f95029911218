"""What scan_video measures is what make_videos put into the file."""

from pathlib import Path

import av
import pytest
from make_videos import Codec, Scene, any_scenes, make_clip, make_cut_off, make_text
from scan_video import UnusableVideo, scan


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("mpeg4", "mpeg4")])
def test_frames_duration_and_scenes_are_those_of_the_file(tmp_path: Path, codec: Codec, name: str) -> None:
    video = tmp_path / "a.mp4"
    make_clip(video, [Scene(2, 30, 4), Scene(1, 200, 0)], codec)

    analytic = scan(video)

    dark, bright = analytic.pop("scenes")
    assert analytic == {"codec": name, "width": 320, "height": 180, "fps": 25, "frames": 75, "duration": 3}
    assert (dark["frames"], dark["seconds"], bright["frames"], bright["seconds"]) == (50, 2, 25, 1)


def test_what_moves_has_motion_and_what_is_bright_has_brightness(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    make_clip(video, [Scene(1, 30, 4), Scene(1, 200, 0), Scene(1, 30, 1)])

    fast, still, slow = scan(video)["scenes"]

    assert fast["motion"] > slow["motion"] > 0.001 > still["motion"]
    assert still["brightness"] > 0.6 > 0.3 > fast["brightness"]


def test_a_file_without_its_end_is_unusable(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    make_cut_off(video)

    with pytest.raises(UnusableVideo):
        scan(video)


def test_frames_that_are_missing_are_told(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    make_clip(video, any_scenes(), "mpeg4")
    with av.open(video) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        end = packets[59].pos + packets[59].size
    video.write_bytes(video.read_bytes()[:end])

    with pytest.raises(UnusableVideo, match="60 of 100 frames can be read: it is cut off"):
        scan(video)


def test_what_is_no_video_is_unusable(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    make_text(video)

    with pytest.raises(UnusableVideo, match="Invalid data"):
        scan(video)


def test_sound_alone_is_unusable(tmp_path: Path) -> None:
    sound = tmp_path / "a.mp4"
    with av.open(sound, "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 44100
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    with pytest.raises(UnusableVideo, match="no pictures"):
        scan(sound)


def test_a_file_that_is_not_there_is_the_disks_trouble(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "a.mp4")
