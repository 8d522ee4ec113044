"""What a page of another site may not do with a client's cookie."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from services.order_service.sessions import HEADER, Sessions
from tests.support.idle_apps import SESSION_KEY, order_app

SESSIONS = Sessions(SESSION_KEY)
SESSION = SESSIONS.make()
HOST = "shop.example"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    return order_app(tmp_path_factory.mktemp("secrets")).test_client(use_cookies=False)


def send(client: FlaskClient, method: str, path: str, **headers: str) -> tuple[int, str]:
    """Send a request; its status and its error, if it is one: 503 where the stores are asked."""
    names = {"Cookie": f"session={SESSION.id}", "Host": HOST}
    names |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"product_id": 3, "quantity": 1} if path == "/cart" else {"from_cart": True}
    answer = client.open(path, method=method, headers=names, json=body)
    return answer.status_code, (answer.json or {}).get("error", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[evil"},
        {"Origin": f"http://{HOST}.evil.example"},
        {"Origin": f"http://{HOST}", "Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing_with_a_cookie(client, headers: dict[str, str]):
    for method, path in (("POST", "/orders"), ("DELETE", "/cart")):
        assert send(client, method, path, **headers) == (403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": f"http://{HOST}"},
        {"Origin": f"http://{HOST.upper()}:8080"},  # nginx passes the host without its port
        {"Origin": f"http://{HOST}", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "http://evil.example", HEADER: SESSION.id},  # no page can send that header
    ],
)
def test_our_own_pages_and_programs_may(client, headers: dict[str, str]):
    for method, path in (("POST", "/orders"), ("DELETE", "/cart")):
        assert send(client, method, path, **headers)[0] == 503


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}]
)
def test_a_page_of_another_site_replaces_no_session(client, headers: dict[str, str]):
    """Its POST comes without the Lax cookie; an answer with a new one would be the client's."""
    for method, path in (("POST", "/orders"), ("POST", "/cart")):
        assert send(client, method, path, Cookie="", **headers) == (403, "cross_site")


def test_reading_is_open_to_links_from_anywhere(client):
    assert send(client, "GET", "/docs", Origin="http://evil.example")[0] == 200


@pytest.mark.parametrize(
    "cookie",
    ["", "x", "=", "a" * 4000, '"\\', SESSION.id[:-1] + "!"],
    ids=["empty", "x", "=", "long", "quotes", "nearly ours"],
)
def test_a_cookie_of_rubbish_is_a_new_client(client, cookie: str):
    answer = client.get("/cart", headers={"Cookie": f"session={cookie}"})
    assert answer.status_code == 200
    assert answer.json["session"] not in {cookie, SESSION.id}


@pytest.mark.parametrize(
    "token",
    ["", "x", "\ud800", SESSIONS.form_token(SESSIONS.make())],
    ids=["none", "x", "a surrogate", "another session's"],
)
def test_a_form_of_another_session_is_a_page_that_says_so(client, token: str):
    for path in ("/shop/cart", "/shop/cart/remove", "/shop/orders"):
        body = {"token": token.encode("utf-8", "surrogatepass"), "product_id": "3", "quantity": "1"}
        answer = client.post(path, data=body, headers={"Cookie": f"session={SESSION.id}"})
        assert (answer.status_code, answer.mimetype) == (403, "text/html")
        assert "form_expired" in answer.text


def test_a_sessions_token_does_not_open_it_and_is_no_other_sessions() -> None:
    token = SESSIONS.form_token(SESSION)
    assert token not in SESSION.id
    assert SESSIONS.find(None, SESSION.name + token) is None
    assert token != SESSIONS.form_token(SESSIONS.make())
