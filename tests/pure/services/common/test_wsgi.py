"""What every service answers alike: errors are JSON, whatever a client sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.common.logs import Log
from services.common.settings import from_environment
from services.common.wsgi import Instrumented, answer, dump
from services.service_registry.leases import Leases
from services.service_registry.routes import create


def test_a_lone_surrogate_is_written_as_the_escape_that_it_was() -> None:
    for text in ("\ud800", "a\udfffb", "\ud83d\ude00 is no pair in a Python string"):
        assert json.loads(dump({"field": text}).decode("utf-8", "strict")) is not None
    assert dump("\ud800€") == '"\\ud800€"'.encode()


@pytest.mark.parametrize("name", ["\\ud800", "\\udc00\\ud800", "x\\udfff"])
def test_a_field_named_by_a_lone_surrogate_is_a_400(name: str, tmp_path: Path) -> None:
    (tmp_path / "registry_a_password").write_text("a password")
    environ = {"TWINSTACK_ADDRESS": "127.0.0.1", "SECRETS_DIR": str(tmp_path)}
    settings = from_environment("service-registry", environ)
    log = Log("service-registry", "service-registry", requests=False, fd=-1)
    app = create(settings, log, Leases(()))
    app.add_url_rule("/echo", view_func=lambda: answer({"name": json.loads(f'"{name}"')}))
    app.wsgi_app = Instrumented(app.wsgi_app, settings, log)  # type: ignore[method-assign]
    client = app.test_client()
    body = f'{{"address":"10.0.0.1","port":1,"{name}":1}}'
    credential = {"Authorization": "Bearer a password"}
    refused = client.put("/v1/services/a/a", data=body, headers=credential)
    assert (refused.status_code, json.loads(refused.data)["error"]) == (400, "bad_registration")
    assert client.get("/echo").status_code == 200
