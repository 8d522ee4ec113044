"""The product service's process: what the server loads."""

from __future__ import annotations

from services.common.call_stats import CallStats
from services.common.database import Database
from services.common.logs import Log
from services.common.process import die_with_parent
from services.common.redis_store import RedisStore
from services.common.registry_client import Registration
from services.common.settings import from_environment
from services.common.wsgi import Instrumented
from services.product_service.routes import create

die_with_parent()
_settings = from_environment("product-service")
_log = Log(_settings.service, _settings.replica, _settings.log_requests)
_calls = CallStats()
_stores = Database(_settings, _calls), RedisStore(_settings, _calls)
_app = create(_settings, _log, *_stores, _calls)
app = Instrumented(_app, _settings, _log)
Registration(_settings, _log, calls=_calls).start()
