"""The registry's process: what the server loads. One worker, as the memory is the process's own."""

from __future__ import annotations

from services.common.logs import Log
from services.common.process import die_with_parent
from services.common.settings import from_environment
from services.common.wsgi import Instrumented
from services.service_registry.leases import Leases
from services.service_registry.routes import create

die_with_parent()
_settings = from_environment("service-registry")
_log = Log(_settings.service, _settings.replica, _settings.log_requests)
app = Instrumented(create(_settings, _log, Leases()), _settings, _log)
