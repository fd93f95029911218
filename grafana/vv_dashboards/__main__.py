"""Write `grafana/dashboards/*.json` and the boards of a fleet, and remove those that have no dashboard any more."""

from vv_dashboards import FOLDER, fleet, targets

if __name__ == "__main__":
    made = targets()
    for path in set(FOLDER.glob("*.json")) - set(made):
        path.unlink()
    for path, text in (made | fleet.targets()).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
