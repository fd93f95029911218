"""What importing the SDK costs a script, over a bare interpreter and beside other imports.

python -m benchmarks.bench_import
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable

from benchmarks._measure import compare, table

MODULES = [
    "vv_core.alerter", "vv_core.stages", "vv_core.schemas", "vv_core.signing", "vv_core.guard", "vv_core.retry",
    "vv_core.logs", "jsonschema_rs", "rfc8785", "json", "logging", "prometheus_client", "sqlite3", "requests",
]  # fmt: skip


def main() -> None:
    """Print the table. Bytecode is compiled beforehand, as an installation does."""
    with tempfile.TemporaryDirectory() as folder:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environ["PYTHONPYCACHEPREFIX"] = folder
        subjects = {"a bare interpreter": starter("pass", environ)}
        subjects |= {f"import {module}": starter(f"import {module}", environ) for module in MODULES}
        rows = compare(subjects, 5, rounds=7)
    print(table(rows, title="Start of an interpreter", unit="ms"))
    bare, alerter = rows[0], rows[1]
    print(f"\nvv_core.alerter over the bare interpreter: {(alerter.median - bare.median) * 1e3:.1f} ms")


def starter(code: str, environ: dict[str, str]) -> Callable[[], object]:
    """A call that runs `code` in an interpreter of its own."""
    return lambda: subprocess.run([sys.executable, "-c", code], env=environ, check=True)


if __name__ == "__main__":
    main()
