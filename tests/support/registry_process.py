"""The registry's own process on loopback, which a test kills, freezes and starts again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.gateway_parts import closed_port

ROOT = Path(__file__).parents[2]
PASSWORDS = {"product-service": "product-password", "order-service": "order-password"}


class RegistryProcess:
    """A registry with the credentials of two services; addresses are of 127.0.1.0/24."""

    def __init__(self, directory: Path) -> None:
        self.port = closed_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.secrets = directory / "secrets"
        self.data = directory / "data"
        self.secrets.mkdir()
        self.data.mkdir()
        for service, password in PASSWORDS.items():
            name = f"registry_{service.replace('-', '_')}_password"
            (self.secrets / name).write_text(password)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        environment = {
            **os.environ,
            "TWINSTACK_ADDRESS": "127.0.0.1",
            "TWINSTACK_NETWORKS": "127.0.1.0/24",
            "SECRETS_DIR": str(self.secrets),
            "DATA_DIR": str(self.data),
            "LOG_REQUESTS": "0",
        }
        words = f"--interface wsgi --http 1 --no-ws --host 127.0.0.1 --port {self.port}"
        command = f"{words} --blocking-threads 4 --log-level warning --workers-kill-timeout 1"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "granian",
                *command.split(),
                "services.service_registry.app:app",
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while self._is_silent():
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError("the registry does not answer")
            time.sleep(0.05)

    def _is_silent(self) -> bool:
        try:
            return self.call("GET", "/health")[0] != 200
        except OSError:
            return True

    def kill(self) -> None:
        """End server and worker at once, as the kernel does when memory runs out."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        os.killpg(self._process.pid, signal.SIGCONT)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        source: str = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Ask from an address of our choice; give status and document. Raises: OSError."""
        link = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=5, source_address=(source, 0)
        )
        with closing(link):
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            link.request(method, path, data, dict(headers or {}))
            answer = link.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None

    def listed(self) -> dict[str, tuple[str, str]]:
        """Give the live instances: name → service and address."""
        services = self.call("GET", "/v1/services")[1]["services"]
        return {
            entry["instance"]: (service, entry["address"])
            for service, entries in services.items()
            for entry in entries
        }


def bearer(service: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {PASSWORDS[service]}"}
