"""All benchmarks, one after another: ``python -m benchmarks [NAME …]``, or ``make bench``."""

import subprocess
import sys
from pathlib import Path


def main(wanted: list[str]) -> int:
    """Run those named (``writer``), or all; each in a process of its own. Returns the worst exit code."""
    names = sorted(file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.py"))
    unknown = [name for name in wanted if name not in names]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(names)}", file=sys.stderr)
        return 2
    codes = []
    for name in wanted or names:
        codes.append(subprocess.run([sys.executable, "-m", f"benchmarks.bench_{name}"]).returncode)
        print()
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
