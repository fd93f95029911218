"""Write the lock files that the image, `make install` and a checkout's environment are made from: `make lock`.

Each has every package with its version and the hashes of all its files, for all systems and all Pythons that are
supported. What is wanted stands in pyproject.toml alone. Versions stay as they are while they fit; `--upgrade` takes
the newest.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
_COMMAND = (
    "uv pip compile --quiet --universal --python-version 3.11 --generate-hashes "
    "--no-header --no-annotate --no-emit-index-url"
)


def wanted() -> dict[str, list[str]]:
    """What each lock file is made for."""
    document = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    extras = project["optional-dependencies"]
    return {
        "build": document["build-system"]["requires"],
        "exporter": project["dependencies"] + extras["exporter"],
        "demo": extras["demo"],
        "dev": extras["dev"],
    }


def main(arguments: list[str]) -> None:
    """Write them all."""
    written: list[str] = []
    for name, requirements in wanted().items():
        file = HERE / f"{name}.txt"
        # A checkout's environment is made from all of them together: what one has, the next ones have in its version.
        agreed = [part for path in written for part in ("--constraint", path)]
        command = [*_COMMAND.split(), *agreed, *arguments, "-", "-o", str(file)]
        written.append(str(file))
        command[0] = str(Path(sys.executable).with_name("uv"))
        subprocess.run(command, input="\n".join(requirements), text=True, check=True, cwd=CHECKOUT)
        text = file.read_text(encoding="utf-8")
        file.write_text(f"# Written by `make lock` from pyproject.toml.\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
