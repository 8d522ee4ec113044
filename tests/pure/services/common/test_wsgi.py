"""What every service answers alike: errors are JSON, whatever a client sent."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from services.common.logs import Log
from services.common.settings import from_environment
from services.common.wsgi import Instrumented, answer, dump
from services.service_registry.leases import Leases
from services.service_registry.routes import create
from tests.support.gateway_parts import closed_port
from tests.support.project import ROOT
from tests.support.sandbox import eventually


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


SERVED = """
from services.common.logs import Log
from services.common.settings import from_environment
from services.common.wsgi import Instrumented

def answers_at_once(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"{}"]

settings = from_environment("order-service", {})
app = Instrumented(answers_at_once, settings, Log("a", "a", requests=False, fd=-1))
"""


def test_a_body_that_nobody_reads_ends_no_connection_that_is_kept(tmp_path: Path) -> None:
    """The gateway would send the next client's order on it, and could not send it again."""
    (tmp_path / "served.py").write_text(SERVED)
    port = closed_port()
    words = f"-m granian --interface wsgi --host 127.0.0.1 --port {port} served:app"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    server = subprocess.Popen([sys.executable, *words.split()], env=environment)
    try:
        eventually(lambda: is_open(port), within_s=10)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as link:
            for size in (1, 1_000, 15_000, 30_000, 60_000) * 20:
                link.request("GET", "/", b"x" * size)
                response = link.getresponse()
                assert (response.read(), response.will_close) == (b"{}", False)
                time.sleep(0.005)  # what closes does so by now
    finally:
        server.terminate()
        server.wait(10)


def is_open(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port))):
        return True
    return False
