"""The services' applications in this process; their stores are down."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from services.common.call_stats import CallStats
from services.common.database import Database
from services.common.logs import Log
from services.common.redis_store import RedisStore
from services.common.registry_client import Registration
from services.common.service import Service
from services.common.settings import from_environment
from services.order_service import routes as order_routes
from services.order_service.carts import Carts
from services.order_service.checkout import Checkout
from services.order_service.product_client import Products
from services.order_service.sessions import SECRET
from services.product_service import routes as product_routes
from services.product_service.cache import Cache
from services.product_service.representations import Representations

SESSION_KEY = "key"


def idle_service(name: str, secrets: Path) -> Service:
    """Give the parts of a service. `secrets` is a directory to write to."""
    (secrets / SECRET).write_text(SESSION_KEY)
    nobody = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "1", "REDIS_HOST": "127.0.0.1"}
    nobody |= {"REDIS_PORT": "1", "TWINSTACK_ADDRESS": "127.0.0.1", "SECRETS_DIR": str(secrets)}
    settings = from_environment(name, nobody)
    log, calls = Log(name, name, requests=False, fd=-1), CallStats()
    parts = (Database(settings, calls), RedisStore(settings, calls))
    return Service(settings, log, calls, *parts)


def order_app(secrets: Path) -> Flask:
    """Give the order service."""
    service = idle_service("order-service", secrets)
    registration = Registration(service.settings, service.log, service.calls)
    products = Products(registration, service)
    carts = Carts(service.store, 60)
    return order_routes.create(service, products, carts, Checkout(service, carts))


def product_app(secrets: Path) -> Flask:
    """Give the product service."""
    service = idle_service("product-service", secrets)
    return product_routes.create(service, Cache(service.store, 60), Representations())
