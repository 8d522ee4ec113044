"""Make an instance known to the registry, keep its lease alive, and learn of its peers.

A daemon thread registers once the server can be reached, renews the lease about every two seconds
(with jitter), registers again after a 404, and keeps the last answer about the peers of the one
service that this one calls, if it calls any. At exit the instance deregisters; on SIGUSR1 it does
so and goes on serving, so that it can end when nobody asks it any more (docs/live.md). It asks from
the address that it registers, with its service's credential: the registry believes nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import signal
import socket
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.common.call_stats import REGISTRY, CallStats
from services.common.logs import Log
from services.common.process import at_exit
from services.common.settings import Settings

HEARTBEAT_S = 2.0
LEASE_S = 6.0
RETRY_S = 0.25
TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Peer:
    """An instance of a service that we call."""

    instance: str
    address: str
    port: int


class RegistryRefused(Exception):
    """The registry answered, but not with what was asked for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


_TROUBLE = (OSError, http.client.HTTPException, RegistryRefused, ValueError, KeyError, TypeError)


class Registration:
    """One instance's registration: registered, renewed, removed."""

    def __init__(self, settings: Settings, log: Log, calls: CallStats, watched: str = "") -> None:
        self._settings = settings
        self._calls = calls
        self._log = log
        self._path = f"/v1/services/{settings.service}/{settings.replica}"
        self._watched = watched
        self.peers: tuple[Peer, ...] = ()  #: its live instances, as last heard
        self._stop = threading.Event()
        self._leaving = threading.Lock()
        self._trouble = ""
        self.registered = False

    def start(self) -> None:
        """Begin, in a thread of our own; deregister on SIGUSR1 and when the process ends.

        To be called in the main thread, which alone may set what a signal does.
        """
        threading.Thread(target=self._run, name="registry", daemon=True).start()
        signal.signal(signal.SIGUSR1, lambda _number, _frame: self._stop.set())
        at_exit(self.close)

    def close(self) -> None:
        """Deregister, and never register again."""
        self._stop.set()
        with self._leaving:
            if self.registered:
                self.registered = False
                with contextlib.suppress(*_TROUBLE):  # Otherwise the lease expires.
                    self._call("DELETE", self._path, timeout_s=0.5)

    def beat(self) -> None:
        """Register or renew, once. Raises: OSError, HTTPException, RegistryRefused."""
        if self.registered:
            try:
                self._call("POST", f"{self._path}/heartbeat")
                return
            except RegistryRefused as refusal:
                self.registered = False
                if refusal.status != 404:
                    raise
        body = {"address": self._settings.address, "port": self._settings.port, "lease_s": LEASE_S}
        self._call("PUT", self._path, body)
        self.registered = True
        self._log.event("info", "registered", address=self._settings.address)

    def _run(self) -> None:
        while not self._reachable() and not self._stop.wait(0.05):
            pass
        while True:
            try:
                self.beat()
                if self._watched:
                    self._learn()
                self._trouble = ""
                pause_s = HEARTBEAT_S * random.uniform(0.8, 1.1)
            except _TROUBLE as error:
                trouble = f"{type(error).__name__}: {error}"
                if trouble != self._trouble:  # Once, not twice a second.
                    self._trouble = trouble
                    self._log.event("warning", "registry cannot be reached", reason=trouble)
                pause_s = RETRY_S * random.uniform(0.8, 1.2)
            if self._stop.wait(pause_s):
                self.close()
                return

    def _reachable(self) -> bool:
        try:
            address = (self._settings.address, self._settings.port)
            socket.create_connection(address, timeout=0.5).close()
        except OSError:
            return False
        return True

    def _learn(self) -> None:
        heard = self._call("GET", f"/v1/services/{self._watched}")
        instances = heard["instances"] or heard["lapsed"]
        peers = tuple(Peer(peer["instance"], peer["address"], peer["port"]) for peer in instances)
        if peers:  # An empty answer may be a registry that has just started.
            self.peers = peers

    def _call(
        self, method: str, path: str, body: object = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        url = urlsplit(self._settings.registry_url)
        link = http.client.HTTPConnection(
            url.hostname or "",
            url.port or 80,
            timeout=timeout_s,
            source_address=(self._settings.address, 0),
        )
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        if method != "GET":
            password = self._settings.registry_password(self._settings.service)
            headers["Authorization"] = f"Bearer {password}"
        with self._calls.timed(REGISTRY), contextlib.closing(link):
            link.request(method, path, body=data, headers=headers)
            response = link.getresponse()
            text = response.read(1_000_000)
            if response.status >= 300:
                raise RegistryRefused(response.status, text[:200].decode(errors="replace"))
            return json.loads(text) if text else None
