"""The pages of docs/ that are written from code and rules: `python -m tools.reference`."""

from __future__ import annotations

from pathlib import Path

from tools.reference import alerts_page, configuration_page, metrics_page


def targets(checkout: Path) -> dict[Path, str]:
    """What belongs into which file."""
    docs = checkout / "docs"
    languages = [path.parent.name for path in sorted(docs.glob("*/alerts.md"))]
    return {
        docs / "configuration.md": configuration_page.page(),
        docs / "metrics.md": metrics_page.page(checkout),
        docs / "alerts.md": alerts_page.page(checkout),
        **{docs / name / "alerts.md": alerts_page.translated(checkout, name) for name in languages},
        checkout / ".env.example": configuration_page.example(),
    }
