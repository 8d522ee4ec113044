"""The product service's process: what the server loads."""

from __future__ import annotations

from services.common.registry_client import Registration
from services.common.service import start
from services.common.wsgi import Instrumented
from services.product_service.routes import create

_service = start("product-service")
app = Instrumented(create(_service), _service.settings, _service.log)
Registration(_service.settings, _service.log, _service.calls).start()
