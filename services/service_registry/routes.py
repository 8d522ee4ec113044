"""The registry's HTTP interface (:8500): register, heartbeat, deregister, discover, list."""

from __future__ import annotations

from flask import Flask, Response, request

from services.common.logs import Log
from services.common.settings import Settings
from services.common.wsgi import ApiError, answer, json_object, make_app
from services.service_registry.leases import Instance, Leases


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

    @app.put("/v1/services/<service>/<instance>")
    def register(service: str, instance: str) -> Response:
        new = leases.register(service, instance, json_object())
        if new:
            log.event("info", "instance registered", instance=instance, by=request.remote_addr)
        return answer({"service": service, "instance": instance}, 201 if new else 200)

    @app.post("/v1/services/<service>/<instance>/heartbeat")
    def heartbeat(service: str, instance: str) -> Response:
        if not leases.renew(service, instance):
            message = f"{instance} of {service} is not registered, or its lease has run out"
            raise ApiError(404, "unknown_instance", message)
        return answer({"service": service, "instance": instance})

    @app.delete("/v1/services/<service>/<instance>")
    def deregister(service: str, instance: str) -> Response:
        if not leases.remove(service, instance):
            message = f"{instance} of {service} is not registered"
            raise ApiError(404, "unknown_instance", message)
        log.event("info", "instance deregistered", instance=instance)
        return Response(status=204)

    @app.get("/v1/services/<service>")
    def discover(service: str) -> Response:
        instances = [shown(entry) for entry in leases.discover(service)]
        return answer({"service": service, "instances": instances, "registry": about()})

    @app.get("/v1/services")
    def everything() -> Response:
        services: dict[str, list[dict[str, object]]] = {}
        for entry in leases.all():
            services.setdefault(entry.service, []).append(shown(entry))
        return answer({"services": services, "registry": about()})

    @app.get("/health")
    def health() -> Response:
        return answer({"status": "ok", **about(), "instances": len(leases.all())})

    return app
