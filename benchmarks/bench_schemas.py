"""What a validation costs a script, its event included.

python -m benchmarks.bench_schemas
"""

import json
import os
import tempfile
from pathlib import Path

from benchmarks._measure import compare, table
from benchmarks._results import OURS, figures_of, publish

BOX = {
    "type": "object",
    "required": ["x", "y", "w", "h", "label", "score"],
    "additionalProperties": False,
    "properties": {
        **{side: {"type": "number", "minimum": 0} for side in "xywh"},
        "label": {"type": "string", "maxLength": 50},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["video", "boxes"],
    "properties": {"video": {"type": "string"}, "boxes": {"type": "array", "items": BOX}},
}
ANALYTIC = {
    "video": "front-door.mp4",
    "boxes": [{"x": n + 0.5, "y": 2.5, "w": 3.25, "h": 4.0, "label": "person", "score": 0.75} for n in range(20)],
}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VV_STATE_DIR"] = folder
        os.environ["VV_JOURNAL_MAX"] = "1TB"
        import jsonschema_rs

        from vv_core.schemas import validate_schema

        path = Path(folder) / "analytic.schema.json"
        path.write_text(json.dumps(SCHEMA))
        text, file = json.dumps(ANALYTIC), str(path)
        bare = jsonschema_rs.validator_for(SCHEMA)
        broken = {**ANALYTIC, "boxes": [*ANALYTIC["boxes"], {"x": -1}]}
        subjects = {
            "vv_core: objects": lambda: validate_schema(ANALYTIC, file, component="scan_video.py"),
            "vv_core: objects, the schema as an object": lambda: validate_schema(ANALYTIC, SCHEMA, component="scan"),
            "vv_core: text": lambda: validate_schema(text, file, component="scan_video.py"),
            "vv_core: objects, invalid": lambda: validate_schema(broken, file, component="scan_video.py"),
            "json.loads of the text": lambda: json.loads(text),
            "jsonschema_rs alone, objects": lambda: bare.is_valid(ANALYTIC),
        }
        rows = compare(subjects, 3000, rounds=7)
        print(table(rows, title="A validation of an analytic with 20 boxes"))
        what = "`validate_schema` of 20 boxes, with its event"
        named = {"vv_core: objects": (what, OURS), "jsonschema_rs alone, objects": (what, "jsonschema_rs alone")}
        publish("schemas", figures_of(rows, named))


if __name__ == "__main__":
    main()
