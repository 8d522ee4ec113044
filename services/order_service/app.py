"""The order service's process: what the server loads."""

from __future__ import annotations

from functools import partial

from services.common.metrics import of_calls, of_counts
from services.common.redis_store import CARTS_WAIT_S
from services.common.registry_client import Registration
from services.common.service import start
from services.common.wsgi import Instrumented
from services.order_service.carts import Carts
from services.order_service.checkout import Checkout
from services.order_service.product_client import Products
from services.order_service.routes import create
from services.order_service.sweep import Sweep

_service = start("order-service", CARTS_WAIT_S)
_registration = Registration(_service.settings, _service.log, _service.calls, "product-service")
_products = Products(_registration, _service)
_carts = Carts(_service.store, _service.settings.session_ttl_s)
_checkout = Checkout(_service, _carts)
_orders = "Orders: placed, replayed (by their key), refused (a status below 500), failed."
app = Instrumented(
    create(_service, _products, _carts, _checkout),
    _service.settings,
    _service.log,
    partial(of_calls, _service.calls),
    partial(of_counts, "orders_total", _orders, "outcome", _checkout.outcomes),
)
_registration.start()
Sweep(_service, _carts).start()
