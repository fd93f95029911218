"""Write them anew."""

from pathlib import Path

from tools.reference import targets

for path, text in targets(Path(__file__).parents[2]).items():
    path.write_text(text, encoding="utf-8")
