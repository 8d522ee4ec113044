"""The product service's process: what the server loads."""

from __future__ import annotations

from services.common.registry_client import Registration
from services.common.service import start
from services.common.wsgi import Instrumented
from services.product_service.cache import Cache
from services.product_service.routes import create, shortcut

_service = start("product-service")
_cache = Cache(_service.store, _service.settings.cache_ttl_s)
app = Instrumented(
    create(_service, _cache), _service.settings, _service.log, shortcut=shortcut(_cache)
)
Registration(_service.settings, _service.log, _service.calls).start()
