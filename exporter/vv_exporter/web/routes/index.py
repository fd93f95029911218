"""`GET /`: where to look, and which collectors fail. Plain HTML made by the server."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from string import Template

from werkzeug import Request, Response

from vv_exporter import __version__
from vv_exporter.guard import Guarded
from vv_exporter.web.routes import Route, Site

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>vv-exporter on $device</title>
<style>body { font: 1rem/1.5 sans-serif; margin: 2rem } td, th { padding-right: 2rem; text-align: left }</style></head>
<body>
<h1>vv-exporter on $device</h1>
<p>Version $version</p>
<ul>
<li><a href="/metrics">/metrics</a>: all series, for Prometheus</li>
<li><a href="/-/healthy">/-/healthy</a>: whether the process lives</li>
<li><a href="/-/ready">/-/ready</a>: whether it can do its work</li>
</ul>
<table>
<caption>Collectors at the last scrape</caption>
<tr><th scope="col">Collector</th><th scope="col">State</th></tr>
$collectors
</table>
</body>
</html>
""")


def build(site: Site) -> Iterable[Route]:
    """The page."""

    def index(_: Request) -> Response:
        rows = (f"<tr><td>{escape(one.name)}</td><td>{escape(_state(one))}</td></tr>" for one in site.guarded)
        device = escape(site.context.settings.device_id)
        page = _PAGE.substitute(device=device, version=escape(__version__), collectors="\n".join(rows))
        return Response(page, content_type="text/html; charset=utf-8")

    yield Route("/", index)


def _state(one: Guarded) -> str:
    if one.error is not None:
        return one.error
    return "not asked yet" if one.duration is None else "ok"
