"""The registry's process: what the server loads. One worker, as the table is the process's own."""

from __future__ import annotations

from services.common.logs import Log
from services.common.process import die_with_parent
from services.common.settings import from_environment
from services.common.wsgi import Instrumented
from services.service_registry.leases import Leases
from services.service_registry.routes import create
from services.service_registry.table import Table

die_with_parent()
_settings = from_environment("service-registry")
_log = Log(_settings.service, _settings.replica, _settings.log_requests)
_table = Table(_settings.data_dir, _log)
_restored = _table.load(_settings.networks)
_leases = Leases(_settings.networks, restored=_restored, save=_table.save)
app = Instrumented(create(_settings, _log, _leases), _settings, _log)
