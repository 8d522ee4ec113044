"""What is about one client's cart or orders is kept by no cache: also what refuses it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from services.order_service.sessions import HEADER, Sessions
from tests.support.idle_apps import SESSION_KEY, order_app


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    return order_app(tmp_path_factory.mktemp("secrets")).test_client()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/cart", 200),
        ("GET", "/orders/none", 404),
        ("POST", "/orders", 400),
        ("PUT", "/orders", 405),
        ("GET", "/orders/0b0e4f4c-1e6f-4f3c-9d0d-2f2b9f0c1a11", 503),
        ("GET", "/nowhere", 404),
        ("GET", "/shop/cart", 503),
    ],
)
def test_no_cache_keeps_an_answer_of_the_order_service(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    in_session = {HEADER: Sessions(SESSION_KEY).make().id} if path != "/cart" else {}
    answer = client.open(path, method=method, headers=in_session)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store")
