"""Write the catalogues anew."""

from pathlib import Path

from tools.messages import targets

for path, text in targets(Path(__file__).parents[2]).items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
