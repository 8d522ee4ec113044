"""The product service upon real stores: its shortcut answers as its routes do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import create_environ

from services.common.call_stats import CallStats
from services.common.catalogue import LIST_KEY, product_key
from services.common.database import Database
from services.common.failures import Breaker, RedisDown
from services.common.logs import Log
from services.common.redis_store import RedisStore
from services.common.service import Service
from services.common.settings import from_environment
from services.common.wsgi import Answered, Instrumented
from services.product_service.cache import Cache
from services.product_service.representations import Representations
from services.product_service.routes import create, shortcut
from tests.support.real_stores import Stores

pytestmark = pytest.mark.kernel
ID = "a-test-1"


@dataclass
class Both:
    """The service with its shortcut, and by its routes alone; what the shortcut answered."""

    store: RedisStore
    quick: Instrumented
    plain: Instrumented
    taken: list[str]


@pytest.fixture
def both(stores: Stores) -> Both:
    settings = from_environment("product-service", stores.environment_of("product-service"))
    calls, log = CallStats(), Log("product-service", "p", requests=False, fd=-1)
    store = RedisStore(settings, calls)
    store.command("DEL", LIST_KEY, *map(product_key, range(1, 25)))
    cache, taken = Cache(store, 30), list[str]()
    sent = Representations()
    app = create(Service(settings, log, calls, Database(settings, calls), store), cache, sent)
    look = shortcut(cache, sent)

    def noted(environ: dict[str, Any]) -> Answered | None:
        answered = look(environ)
        taken.extend([environ["PATH_INFO"]] if answered else [])
        return answered

    quick = Instrumented(app, settings, log, shortcut=noted)
    return Both(store, quick, Instrumented(app, settings, log), taken)


def ask(app: Instrumented, method: str, path: str, **environ: str) -> tuple[Any, ...]:
    """Give the status line, the headers as they come, and the body."""
    begun: list[Any] = []
    given = {**create_environ(path, method=method), "HTTP_X_REQUEST_ID": ID, **environ}

    def begin(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        begun.extend((status, headers))

    body = b"".join(app(given, begin))
    return (*begun, body)


@pytest.mark.parametrize("path", ["/products", "/products/3", "/products/24"])
@pytest.mark.parametrize("host", ["shop", "a b", "", "shop:x"])
def test_what_is_cached_is_answered_as_the_routes_answer_it(both: Both, path: str, host: str):
    assert ("X-Cache", "miss") in ask(both.quick, "GET", path)[1]
    expected = ask(both.plain, "GET", path, HTTP_HOST=host)
    assert not both.taken
    assert ask(both.quick, "GET", path, HTTP_HOST=host) == expected
    assert both.taken == [path.partition("?")[0]]
    assert expected[0] == "200 OK"
    assert ("X-Cache", "hit") in expected[1]
    assert ("X-Request-ID", ID) in expected[1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"/products/{text}") for text in ("0", "x", "-1", "99999999999", "99", "", "3/")),
        *(("GET", path) for path in ("/products/", "//products", "/products/3/x", "/product", "/")),
        *((method, "/products") for method in ("HEAD", "OPTIONS", "POST", "DELETE")),
        *((method, "/products/3") for method in ("HEAD", "OPTIONS", "PUT")),
        *(("GET", f"/products?{query}") for query in ("x=1", "limit=2", "limit=x", "cursor=3")),
    ],
)
def test_anything_else_is_left_to_the_routes(both: Both, method: str, path: str):
    for cached in ("/products", "/products/3"):
        ask(both.plain, "GET", cached)
    assert ask(both.quick, method, path) == ask(both.plain, method, path)
    assert not both.taken


@pytest.mark.parametrize("path", ["/products", "/products/3", "/products?limit=5&cursor=5"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_who_has_the_body_already_gets_none(both: Both, path: str, method: str):
    headers = dict(ask(both.plain, "GET", path)[1])
    for held in (headers["ETag"], f'"other", W/{headers["ETag"]}', "*"):
        for app in (both.quick, both.plain):
            status, got, body = ask(app, method, path, HTTP_IF_NONE_MATCH=held)
            assert (status, body) == ("304 Not Modified", b"")
            assert dict(got)["ETag"] == headers["ETag"]
            assert not {"Content-Type", "Content-Length"} & dict(got).keys()
    assert ask(both.quick, method, path, HTTP_IF_NONE_MATCH='"other"')[0] == "200 OK"


def test_head_says_what_get_says(both: Both):
    for path in ("/products", "/products/3", "/products?limit=5", "/products/99"):
        ask(both.plain, "GET", path)
        status, headers, body = ask(both.plain, "GET", path)
        assert ask(both.quick, "HEAD", path) == (status, headers, b"")
        assert dict(headers)["Content-Length"] == str(len(body))


def test_another_body_has_another_tag(both: Both, stores: Stores):
    before = dict(ask(both.quick, "GET", "/products/3")[1])["ETag"]
    stores.sql("UPDATE products SET stock = stock - 1 WHERE id = 3")
    both.store.command("DEL", product_key(3))
    assert dict(ask(both.quick, "GET", "/products/3")[1])["ETag"] != before


def test_pages_hold_the_whole_list_and_the_default_is_not_cut(both: Both):
    listed = json.loads(ask(both.quick, "GET", "/products")[2])
    assert set(listed) == {"products", "count", "currency"}
    assert listed["count"] == len(listed["products"]) == 24
    path: str | None = "/api/products?limit=7"
    paged: list[Any] = []
    while path is not None:
        page = json.loads(ask(both.quick, "GET", path.removeprefix("/api"))[2])
        paged += page["products"]
        path = page["next"]
    assert paged == listed["products"]


def test_without_redis_both_ask_the_database(both: Both, stores: Stores):
    both.store.breaker = Breaker(0.0, RedisDown)
    expected = ask(both.plain, "GET", "/products")
    stores.redis.kill()
    try:
        for app in (both.quick, both.plain):
            status, headers, body = ask(app, "GET", "/products")
            assert (status, body) == (expected[0], expected[2])
            assert ("X-Cache", "bypass") in headers
    finally:
        stores.redis.start()
