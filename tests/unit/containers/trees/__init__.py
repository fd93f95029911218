"""Trees of /proc and /sys as files hold them: a path and its content; `-> TARGET` is a link."""

from pathlib import Path

import yaml

ID = "0a1b2c3d" * 8
OTHER = "9f8e7d6c" * 8


def lay_out(name: str, root: Path, container: str = ID) -> Path:
    """Write a tree below `root`; returns it."""
    for path, content in yaml.safe_load((Path(__file__).parent / f"{name}.yml").read_text()).items():
        file = root / path.replace("ID", container)
        file.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            file.symlink_to(content.removeprefix("-> "))
        else:
            file.write_text(content.replace("ID", container))
    return root
