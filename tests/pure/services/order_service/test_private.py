"""What is about one client's cart or orders is kept by no cache: also what refuses it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from services.common.call_stats import CallStats
from services.common.database import Database
from services.common.logs import Log
from services.common.redis_store import RedisStore
from services.common.registry_client import Registration
from services.common.service import Service
from services.common.settings import from_environment
from services.order_service.carts import Carts
from services.order_service.checkout import Checkout
from services.order_service.product_client import Products
from services.order_service.routes import create
from services.order_service.sessions import HEADER, SECRET, Sessions


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """A client of the order service; its stores are down."""
    nobody = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "REDIS_HOST": "127.0.0.1"}
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / SECRET).write_text("key")
    nobody |= {"REDIS_PORT": "1", "TWINSTACK_ADDRESS": "127.0.0.1", "SECRETS_DIR": str(secrets)}
    settings = from_environment("order-service", nobody)
    log, calls = Log("order-service", "order-service", requests=False, fd=-1), CallStats()
    parts = (Database(settings, calls), RedisStore(settings, calls))
    service = Service(settings, log, calls, *parts)
    products = Products(Registration(settings, log, calls), service)
    carts = Carts(service.store, 60)
    return create(service, products, carts, Checkout(service, carts)).test_client()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/cart", 200),
        ("GET", "/orders/none", 404),
        ("POST", "/orders", 400),
        ("PUT", "/orders", 405),
        ("GET", "/orders/0b0e4f4c-1e6f-4f3c-9d0d-2f2b9f0c1a11", 503),
        ("GET", "/nowhere", 404),
    ],
)
def test_no_cache_keeps_an_answer_of_the_order_service(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    in_session = {HEADER: Sessions("key").make().id} if path.startswith("/orders/") else {}
    answer = client.open(path, method=method, headers=in_session)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store")
