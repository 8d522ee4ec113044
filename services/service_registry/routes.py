"""The registry's HTTP interface (:8500): register, heartbeat, deregister, discover, list.

To read is free for all who reach it. What changes the table needs the service's own credential, and
comes from the instance's own address.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from flask import Flask, Response, request

from services.common.logs import Log
from services.common.settings import Settings
from services.common.wsgi import ApiError, answer, json_object, make_app
from services.service_registry.leases import NAME, Instance, Leases


def create(settings: Settings, log: Log, leases: Leases) -> Flask:
    """Make the registry upon the given leases."""
    app = make_app(settings, log)

    def shown(entry: Instance) -> dict[str, object]:
        return {
            "instance": entry.instance,
            "address": entry.address,
            "port": entry.port,
            "expires_in_s": round(leases.left_s(entry), 3),
        }

    def about() -> dict[str, object]:
        return {"replica": settings.replica, "uptime_s": round(leases.uptime_s, 3)}

    def grouped(entries: Iterable[Instance]) -> dict[str, list[dict[str, object]]]:
        services: dict[str, list[dict[str, object]]] = {}
        for entry in entries:
            services.setdefault(entry.service, []).append(shown(entry))
        return services

    def authenticated(service: str) -> str:
        """Give the address that a service's request is from. Raises: ApiError 401."""
        password = settings.registry_password(service) if NAME.fullmatch(service) else ""
        given = request.headers.get("Authorization", "").encode()
        if not (password and hmac.compare_digest(given, f"Bearer {password}".encode())):
            log.event("warning", "credential refused", of=service, by=request.remote_addr)
            raise ApiError(401, "no_credential", f"this needs the credential of {service}")
        return request.remote_addr or ""

    @app.put("/v1/services/<service>/<instance>")
    def register(service: str, instance: str) -> Response:
        source = authenticated(service)
        new = leases.register(service, instance, json_object(), source)
        if new:
            log.event("info", "instance registered", instance=instance, by=request.remote_addr)
        return answer({"service": service, "instance": instance}, 201 if new else 200)

    @app.post("/v1/services/<service>/<instance>/heartbeat")
    def heartbeat(service: str, instance: str) -> Response:
        if not leases.renew(service, instance, authenticated(service)):
            message = f"{instance} of {service} is not registered, or its lease has run out"
            raise ApiError(404, "unknown_instance", message)
        return answer({"service": service, "instance": instance})

    @app.delete("/v1/services/<service>/<instance>")
    def deregister(service: str, instance: str) -> Response:
        if not leases.remove(service, instance, authenticated(service)):
            message = f"{instance} of {service} is not registered"
            raise ApiError(404, "unknown_instance", message)
        log.event("info", "instance deregistered", instance=instance)
        return Response(status=204)

    @app.get("/v1/services/<service>")
    def discover(service: str) -> Response:
        instances = [shown(entry) for entry in leases.live(service)]
        lapsed = [shown(entry) for entry in leases.lapsed(service)]
        body = {"service": service, "instances": instances, "lapsed": lapsed}
        return answer({**body, "registry": about()})

    @app.get("/v1/services")
    def everything() -> Response:
        lapsed, left = grouped(leases.lapsed()), grouped(leases.left())
        services = grouped(leases.live())
        body = {"services": services, "lapsed": lapsed, "left": left, "registry": about()}
        return answer(body)

    @app.get("/health")
    def health() -> Response:
        return answer({"status": "ok", **about(), "instances": len(leases.live())})

    return app
