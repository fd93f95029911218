"""Write `grafana/dashboards/*.json`, and remove those that have no dashboard any more."""

from vv_dashboards import FOLDER, targets

if __name__ == "__main__":
    made = targets()
    for path in set(FOLDER.glob("*.json")) - set(made):
        path.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
