"""The registry's table on disk: what a restart reads again. Written whenever it changes, whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from services.common.logs import Log
from services.common.wsgi import ApiError
from services.service_registry.leases import Instance, parse


@dataclass(frozen=True, slots=True)
class Table:
    """A file in the service's data directory; without one (None) nothing is kept."""

    directory: Path | None
    log: Log

    def load(self, networks: Iterable[IPv4Network]) -> list[Instance]:
        """Give the instances kept; those that could not register today are left out.

        A file that is absent or cannot be read is an empty one: instances come again by themselves.
        """
        if self.directory is None:
            return []
        kept: list[Instance] = []
        try:
            entries = json.loads((self.directory / "table.json").read_bytes())
            for entry in entries:
                service, instance = str(entry.pop("service")), str(entry.pop("instance"))
                with suppress(ApiError):
                    kept.append(parse(service, instance, entry, networks))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.log.event("warning", "the kept table cannot be read", reason=str(error))
        return kept

    def save(self, instances: Iterable[Instance]) -> None:
        """Replace the file at once, or leave it as it is and log why."""
        if self.directory is None:
            return
        entries = [asdict(entry) for entry in instances]
        for entry in entries:
            del entry["expires_at"]  # of this process's clock
        file, fresh = self.directory / "table.json", self.directory / "table.new"
        try:
            with fresh.open("wb") as opened:
                opened.write(json.dumps(entries).encode())
                opened.flush()
                os.fsync(opened.fileno())
            fresh.replace(file)
        except OSError as error:
            self.log.event("warning", "the table cannot be kept", reason=str(error))
