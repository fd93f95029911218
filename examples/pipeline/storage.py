"""Where the pipeline keeps its files: folders below ``VIDEO_STORAGE_ROOT``, one result of each stage a video."""

import json
import os
from pathlib import Path
from typing import Any

VIDEOS = (".mp4", ".mkv")


def folder(name: str) -> Path:
    """A folder of the storage: ``input``, ``output`` or ``processed``. Makes it if need be."""
    path = Path(os.environ["VIDEO_STORAGE_ROOT"]) / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def result(video: Path, kind: str) -> Path:
    """The file that holds what a stage found out about a video: `kind` is ``analytic``, ``summary`` or ``logline``."""
    return folder("output") / f"{video.stem}.{kind}.json"


def schema(kind: str) -> Path:
    """The schema that such a file satisfies."""
    return Path(__file__).parent / "schemas" / f"{kind}.schema.json"


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a file that is either whole or not there, also when this process is killed."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
