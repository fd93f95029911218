"""`GET /silence`: what is silenced, and with `filter` the form for a new silence. `POST /silence`: make or end one.

A GET changes nothing, whoever follows the link of a message: chats do, to show a preview.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from werkzeug import Request, Response
from werkzeug.exceptions import Forbidden

from vv_exporter.alertmanager.silences.client import RefusedError, Silence, SilenceError, Silences
from vv_exporter.alertmanager.silences.preview import preview
from vv_exporter.common.matchers import Matcher, parse_filter, to_filter
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.state.timeline import shortened
from vv_exporter.web.forms import Forms, user_of
from vv_exporter.web.pages import page
from vv_exporter.web.routes import Route, Site

HOUR = 3600
DURATIONS = {
    "1h": (translatable("1 hour"), HOUR),
    "4h": (translatable("4 hours"), 4 * HOUR),
    "12h": (translatable("12 hours"), 12 * HOUR),
    "1d": (translatable("1 day"), 24 * HOUR),
    "3d": (translatable("3 days"), 72 * HOUR),
    "7d": (translatable("7 days"), 168 * HOUR),
}
DEFAULT = "4h"
MAX_REASON = 500
MAX_AUTHOR = 100
SHOWN = 100


def build(site: Site) -> Iterable[Route]:
    """Both."""
    pages = SilencePages(site)
    yield Route("/silence", pages.answer, methods=("GET", "POST"), at_once=2)


class SilencePages:
    """The page, and what its buttons do."""

    def __init__(self, site: Site) -> None:
        settings, self._clock = site.context.settings, site.context.clock
        self._device = settings.device_id
        self._silences = Silences(settings.alertmanager)
        self._forms = Forms(settings, self._clock)

    def answer(self, request: Request) -> Response:
        """The page; after a change, the way back to it, so that loading it again changes nothing."""
        if request.method != "POST":
            return self._silence_page(request, request.args.get("filter", ""))
        given = request.form.get("filter", "")
        try:
            self._forms.check(request)
            return self._end_silence(request) if request.form.get("do") == "end" else self._add_silence(request, given)
        except Forbidden as error:
            return self._silence_page(request, given, str(error.description), 403)
        except (ValueError, RefusedError) as error:
            return self._silence_page(request, given, str(error), 400)
        except SilenceError as error:
            return self._silence_page(request, given, str(error), 503)

    def _add_silence(self, request: Request, given: str) -> Response:
        form, now = request.form, self._clock()
        matchers = parse_filter(given)
        reason = shortened(form.get("reason", ""), MAX_REASON)
        if not reason:
            raise ValueError(_("say why: whoever is on duty next will want to know"))
        if form.get("for") not in DURATIONS:
            raise ValueError(_("choose for how long"))
        seconds = DURATIONS[form["for"]][1]
        author = shortened(user_of(request) or form.get("author", ""), MAX_AUTHOR) or _("the silence page")
        preview(self._silences, matchers, self._device)
        return _redirect_back(made=self._silences.add(matchers, now, now + seconds, author, reason))

    def _end_silence(self, request: Request) -> Response:
        id_ = request.form.get("id", "")
        self._silences.end(id_)
        return _redirect_back(ended=id_)

    def _silence_page(self, request: Request, given: str, problem: str = "", status: int = 200) -> Response:
        matchers: list[Matcher] = []
        firing: list[str] = []
        silences: Sequence[Silence] = []
        try:
            matchers = parse_filter(given)
            silences = self._silences.list()
            if given:
                firing = preview(self._silences, matchers, self._device)
        except (ValueError, RefusedError) as error:
            matchers, problem, status = [], problem or str(error), 400 if status == 200 else status
        except SilenceError as error:
            problem = problem or _("What is silenced is not known: {error}").format(error=error)
        form = request.form
        response = page(
            request,
            "silence.html",
            here="silence",
            refresh=0,
            device=self._device,
            problem=problem,
            filter=to_filter(matchers),
            matchers=matchers,
            firing=firing[:SHOWN],
            silences=[one for one in silences if one.holds][:SHOWN],
            done=_done_text(request.args, silences),
            user=user_of(request),
            durations=DURATIONS,
            chosen=form.get("for", DEFAULT),
            reason=form.get("reason", ""),
            author=form.get("author", ""),
            token=self._forms.token(request),
        )
        response.status_code = status
        return response


def _redirect_back(**done: str) -> Response:
    return Response(status=303, headers={"Location": f"/silence?{urlencode(done)}"})


def _done_text(arguments: Mapping[str, str], silences: Sequence[Silence]) -> str:
    """What was done, if the silence is as the address says: anybody can write an address."""
    for one in silences:
        if one.id == arguments.get("made") and one.holds:
            return _("It is silenced: {what}").format(what=one.what)
        if one.id == arguments.get("ended") and not one.holds:
            return _("That silence has ended: {what}").format(what=one.what)
    return ""
