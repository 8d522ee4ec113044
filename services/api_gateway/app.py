"""The gateway's process: what the server loads."""

from __future__ import annotations

from services.api_gateway.gateway import Gateway
from services.common.logs import Log
from services.common.process import die_with_parent
from services.common.settings import from_environment

die_with_parent()
_settings = from_environment("api-gateway")
app = Gateway(_settings, Log(_settings.service, _settings.replica, _settings.log_requests))
