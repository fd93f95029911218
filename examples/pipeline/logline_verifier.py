"""Job logline_verifier: check the signature of each logline; one that was changed goes to ``corrupted/``.

    */5 * * * *  logline_verifier.py

Shows `check_signature`, and `guard` around each item of a loop: whatever is wrong with one, the others are checked.
"""

from storage import folder, read_json

from vv_core.guard import guard
from vv_core.jobs import job
from vv_core.logs import setup_logging
from vv_core.signing import check_signature

ENDING = ".logline.json"


def main() -> None:
    """Check all that is there."""
    setup_logging("logline_verifier.py")
    with job("logline_verifier"):
        for path in sorted(folder("output").glob(f"*{ENDING}")):
            with guard(video=path, quarantine=True, then="continue"):
                check_signature(read_json(path), video=path.name.removesuffix(ENDING))


if __name__ == "__main__":
    with guard(then="exit"):
        main()
