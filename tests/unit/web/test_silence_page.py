"""Who may silence what by a form, while Alertmanager does not answer; with one: tests/e2e/test_links.py."""

import re

import bcrypt
import pytest
import requests

from tests.support.ports import free_port
from tests.unit.web.conftest import Serve
from vv_exporter.context import Context
from vv_exporter.settings import load
from vv_exporter.web import WebConfig, create_app

FILTER = '{alertname="DiskSpaceLow"}'
USERS = WebConfig(
    basic_auth_users={name: bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode() for name in ("ana", "eve")}
)


@pytest.fixture
def context(context: Context) -> Context:
    environ = {
        "VV_STATE_DIR": str(context.settings.state_dir),
        "VV_CONFIG": "",
        "VV_DEVICE_ID": "edge-1",
        "VV_ALERTMANAGER_PORT": str(free_port()),
        "VV_PUBLIC_URL": "https://edge-1.example.org",
    }
    return Context(settings=load(environ), store=context.store, clock=context.clock, monotonic=context.monotonic)


def token_of(url: str, **more: object) -> str:
    page = requests.get(f"{url}/silence", params={"filter": FILTER}, timeout=10, **more)  # type: ignore[arg-type]
    assert page.status_code == 200
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def form(token: str, **more: str) -> dict[str, str]:
    return {"do": "add", "filter": FILTER, "for": "1h", "reason": "why", "token": token, **more}


def test_a_form_of_ours_gets_through(context: Context, serve: Serve) -> None:
    """As far as Alertmanager, which is not there."""
    url = serve(create_app(context, [])).url

    answer = requests.post(f"{url}/silence", data=form(token_of(url)), timeout=20)

    assert answer.status_code == 503
    assert "Alertmanager does not answer" in answer.text


@pytest.mark.parametrize(
    ("changes", "headers", "said"),
    [
        ({"token": ""}, {}, "too old"),
        ({"token": "9999999999.00"}, {}, "too old"),
        ({"token": "nan.x"}, {}, "too old"),
        ({"token": "\u00e9.\u00e9"}, {}, "too old"),
        ({}, {"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({}, {"Sec-Fetch-Site": "same-site"}, "another site"),
        ({}, {"Host": "evil.example.com"}, "is not known as"),
        ({}, {"Host": "evil.example.com", "Authorization": "Basic eDp5"}, "is not known as"),  # its script can say so
        ({}, {"Host": "127.0.0.1.evil.example.com"}, "is not known as"),
        ({}, {"Host": "[::1"}, "is not known as"),
    ],
)
def test_a_form_of_others_does_not(
    context: Context, serve: Serve, changes: dict[str, str], headers: dict[str, str], said: str
) -> None:
    url = serve(create_app(context, [])).url
    for wanted in ({}, {"do": "end", "id": "x"}):
        answer = requests.post(
            f"{url}/silence", data=form(token_of(url)) | wanted | changes, headers=headers, timeout=20
        )
        assert (answer.status_code, said in answer.text) == (403, True)


@pytest.mark.parametrize("host", ["edge-1.example.org", "localhost:1", "[::1]:19461", "10.0.0.7:19461"])
def test_it_may_be_reached_by_its_names_and_any_address(context: Context, serve: Serve, host: str) -> None:
    url = serve(create_app(context, [])).url

    answer = requests.post(f"{url}/silence", data=form(token_of(url)), headers={"Host": host}, timeout=20)

    assert answer.status_code == 503


def test_it_is_behind_the_same_users_and_a_token_is_its_users(context: Context, serve: Serve) -> None:
    url = serve(create_app(context, [], USERS)).url
    ana, eve = ("ana", "secret"), ("eve", "secret")
    token = token_of(url, auth=ana)

    assert requests.get(f"{url}/silence", timeout=20).status_code == 401
    assert requests.get(f"{url}/runbooks/JobFailed", timeout=20).status_code == 401
    assert requests.post(f"{url}/silence", data=form(token), timeout=20).status_code == 401
    assert requests.post(f"{url}/silence", data=form(token), auth=eve, timeout=20).status_code == 403
    assert requests.post(f"{url}/silence", data=form(token), auth=ana, timeout=20).status_code == 503


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reason": " "}, "say why"),
        ({"for": "1y"}, "for how long"),
        ({"filter": ""}, "everything"),
        ({"filter": "{x"}, "not understood"),
        ({"filter": '{alertname="Watchdog"}'}, "Watchdog"),
    ],
)
def test_what_is_missing_is_told(context: Context, serve: Serve, changes: dict[str, str], said: str) -> None:
    url = serve(create_app(context, [])).url

    answer = requests.post(f"{url}/silence", data=form(token_of(url)) | changes, timeout=20)

    assert (answer.status_code, said in answer.text) == (400, True)


def test_what_the_link_holds_is_shown_and_not_obeyed(context: Context, serve: Serve) -> None:
    url = serve(create_app(context, [])).url
    hostile = '{title="<script>alert(1)</script>\u202e"}'

    page = requests.get(f"{url}/silence", params={"filter": hostile}, timeout=20).text

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize("said", ["made=All+is+well", "ended=nothing", "made="])
def test_an_address_cannot_say_that_something_was_done(context: Context, serve: Serve, said: str) -> None:
    url = serve(create_app(context, [])).url

    page = requests.get(f"{url}/silence?{said}", timeout=20).text

    assert "All is well" not in page
    assert 'role="status">It' not in page


def test_a_page_of_another_site_cannot_hold_it_in_a_frame(context: Context, serve: Serve) -> None:
    url = serve(create_app(context, [])).url

    policy = requests.get(f"{url}/silence", timeout=20).headers["Content-Security-Policy"]

    assert {"frame-ancestors 'none'", "form-action 'self'"} <= {*policy.split("; ")}
