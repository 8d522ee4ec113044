"""The registry's process: what the server loads. One worker, as the table is the process's own."""

from __future__ import annotations

from functools import partial

from services.common.logs import Log
from services.common.process import die_with_parent
from services.common.settings import from_environment
from services.common.wsgi import Instrumented
from services.service_registry.leases import Leases
from services.service_registry.registry_metrics import of_leases
from services.service_registry.routes import create
from services.service_registry.table import Table

die_with_parent()
_settings = from_environment("service-registry")
_log = Log(_settings.service, _settings.replica, _settings.log_requests)
_table = Table(_settings.data_dir, _log)
_restored = _table.load(_settings.networks)
_leases = Leases(_settings.networks, restored=_restored, save=_table.save)
_app = create(_settings, _log, _leases)
app = Instrumented(_app, _settings, _log, partial(of_leases, _leases))
