"""The product service's process: what the server loads."""

from __future__ import annotations

from functools import partial

from services.common.metrics import of_calls, of_counts
from services.common.redis_store import CACHE_WAIT_S
from services.common.registry_client import Registration
from services.common.service import start
from services.common.wsgi import Instrumented
from services.product_service.cache import Cache
from services.product_service.near_cache import Copies, NearCache
from services.product_service.representations import Representations
from services.product_service.routes import create, shortcut
from services.product_service.tracking import Tracking

_service = start("product-service", CACHE_WAIT_S)
_settings, _log = _service.settings, _service.log
if _settings.cache == "near":
    _copies = Copies()
    Tracking(_settings, _copies, _log).start()
    _cache: Cache = NearCache(_service.store, _settings.cache_ttl_s, _copies)
else:
    _cache = Cache(_service.store, _settings.cache_ttl_s)
_reads = "Reads of the catalogue: near (this process), hit (Redis), miss, bypass (Redis is down)."
_sent = Representations()
app = Instrumented(
    create(_service, _cache, _sent),
    _settings,
    _log,
    partial(of_calls, _service.calls),
    partial(of_counts, "cache_reads_total", _reads, "result", _cache.reads),
    shortcut=shortcut(_cache, _sent),
)
Registration(_settings, _log, _service.calls).start()
