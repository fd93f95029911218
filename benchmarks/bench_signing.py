"""What a signature costs a script, its event included.

python -m benchmarks.bench_signing
"""

import hmac
import os
import tempfile
from pathlib import Path

from benchmarks._measure import compare, table
from benchmarks._results import OURS, figures_of, publish

DATA = b"x" * 1000
LOGLINE = {"camera": "front", "at": "2026-01-01T00:00:00Z", "count": 3, "scene": "x" * 850, "scores": [0.5, 0.25]}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "2026-01.key"
        key.touch(mode=0o600)
        key.write_text("0123456789abcdef" * 4)
        os.environ.update(VV_STATE_DIR=folder, VV_JOURNAL_MAX="1TB", VV_HMAC_KEY_FILE=str(key))
        from vv_core.signing import sign_payload, verify_signature

        secret = key.read_bytes()
        signature, signed = sign_payload(DATA), sign_payload(LOGLINE)
        subjects = {
            "sign_payload, bytes": lambda: sign_payload(DATA, component="logline_generator.py"),
            "verify_signature, bytes": lambda: verify_signature(DATA, signature, component="logline_verifier.py"),
            "sign_payload, object (RFC 8785)": lambda: sign_payload(LOGLINE, component="logline_generator.py"),
            "sign_payload, object, in a chain": lambda: sign_payload(
                LOGLINE, component="logline_generator.py", chain="loglines"
            ),
            "verify_signature, object": lambda: verify_signature(signed, component="logline_verifier.py"),
            "hmac.digest alone": lambda: hmac.digest(secret, DATA, "sha256"),
        }
        rows = compare(subjects, 3000, rounds=7)
        print(table(rows, title="A signature of 1 kB"))
        what = "`sign_payload` of 1 kB, with its event"
        named = {"sign_payload, bytes": (what, OURS), "hmac.digest alone": (what, "hmac.digest alone")}
        publish("signing", figures_of(rows, named))


if __name__ == "__main__":
    main()
