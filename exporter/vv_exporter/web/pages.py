"""What all pages have in common: templates that escape everything, and headers that let nothing else run.

Style and script stand in the page itself, so that it is one answer and works without any other; the Content Security
Policy admits just these two, by their hashes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from markupsafe import Markup
from prometheus_client.exposition import gzip_accepted
from werkzeug import Request, Response

from vv_exporter import __version__
from vv_exporter.common.clock import isoformat
from vv_exporter.language import current, languages, ngettext, title_of, translatable
from vv_exporter.language import gettext as _
from vv_exporter.state.timeline import clean
from vv_exporter.status.table import Bar, ago
from vv_exporter.web.reader import PARAMETER, answer_in

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).with_name("templates")
_SCRIPT_WORDS = {
    "refreshes": translatable("Refreshes every {seconds} s"),
    "unanswered": translatable("No answer: this is as of {time}"),
    "paused": translatable("Paused: this is as of {time}"),
    "pause": translatable("Pause"),
    "resume": translatable("Resume"),
}
"""What page.js says."""


def page(request: Request, template: str, **values: Any) -> Response:
    """The template as a page."""
    style, script = _inline_file("style.css"), _inline_file("page.js")
    common = {
        "style": style,
        "script": script,
        "version": __version__,
        "language": current(),
        "languages": [(name, title_of(name), _in_language(request, name)) for name in languages()],
        "words": {name: _(text) for name, text in _SCRIPT_WORDS.items()},
    }
    text = _template_environment().get_template(template).render(**common | values)
    body = text.encode("utf-8", "replace")
    response = Response(body, content_type="text/html; charset=utf-8")
    response.headers.update(
        {
            "Content-Security-Policy": _content_policy(style, script),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
        }
    )
    if gzip_accepted(request.headers.get("Accept-Encoding", "")):
        response.set_data(gzip.compress(body, compresslevel=3))
        response.content_encoding = "gzip"
    return answer_in(current(), request, response)


def _in_language(request: Request, name: str) -> str:
    """The way to the same page in another language."""
    kept = [(key, value) for key, value in request.args.items(multi=True) if key != PARAMETER]
    return f"?{urlencode([*kept, (PARAMETER, name)])}"


@cache
def _template_environment() -> jinja2.Environment:
    import jinja2  # 4 MB, which an exporter that nobody looks at need not hold

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_encodable_text,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(_, ngettext, newstyle=True)  # type: ignore[attr-defined] # of the extension
    environment.policies["ext.i18n.trimmed"] = True
    environment.filters |= {
        "timed": timed,
        "utc": isoformat,
        "ago": ago,
        "link": link,
        "plot": plot,
        "steps": steps,
        "moment": moment,
    }
    return environment


@cache
def _inline_file(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


@cache
def _content_policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_source_hash(style)}; script-src {_source_hash(script)}; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _source_hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _encodable_text(value: object) -> object:
    # Names come from elsewhere: what HTML forbids, and what cannot be encoded, is replaced.
    return clean(value).encode("utf-8", "replace").decode() if type(value) is str else value


def link(address: str) -> str:
    """The address if a browser may follow it, else nothing: anybody can send an alert with a `javascript:` one."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return address if parts.scheme in ("http", "https") and parts.hostname else ""


def timed(time: float) -> Markup:
    """A time that programs can read as well."""
    return Markup('<time datetime="{0}">{0}</time>').format(isoformat(time))


def moment(time: float, component: str) -> str:
    """The way to what the timeline shows of a time and a component; it stays the same."""
    return f"/timeline?{urlencode({'at': f'{time:.3f}'.rstrip('0').rstrip('.'), 'component': component})}#entry"


def steps(text: str) -> list[list[str]]:
    """The lines without their numbers, each as plain text and `code` in turn."""
    lines = (re.sub(r"^(\d{1,2}[.)]|[-*•])\s+", "", line.strip()) for line in text.splitlines() if line.strip())
    return [line.split("`") if line.count("`") % 2 == 0 else [line] for line in lines]


def anchor(*parts: object) -> str:
    """An id for an element that stays the same from one page to the next, whatever is in `parts`."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:10]


def plot(bars: list[Bar], which: str) -> str:
    """The path of the bars (`all`, or the `bad` part of each) in a field 16 high, each bar 4 wide and 1 apart."""
    heights = [(bar.height if which == "all" else bar.bad) for bar in bars]
    return "".join(f"M{5 * at} 16v-{16 * height:.1f}h4V16z" for at, height in enumerate(heights) if height > 0)
