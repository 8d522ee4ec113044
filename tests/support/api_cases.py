"""Try a running stack by its own OpenAPI document: Schemathesis sends what the document allows,
and what it does not, and holds each answer against it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.project import ROOT
from tests.support.sandbox import Sandbox

CONFIG = ROOT / "tests/support/schemathesis.toml"
PROGRAM = str(Path(sys.executable).with_name("schemathesis"))


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of it: the cases, and what is said of those that failed."""

    cases: int
    failures: list[str]
    report: dict[str, Any]
    output: str


def try_api(
    host: Sandbox, base: str, folder: Path, examples: int, phases: str, seed: int, timeout_s: float
) -> Tried:
    """Send some cases for each operation, by these phases of Schemathesis', from a host."""
    config, report = folder / CONFIG.name, folder / "schemathesis.json"
    config.write_text(_filled(CONFIG.read_text(encoding="utf-8"), host, base))
    words = f"--config-file {config} run {base}/openapi.json --phases {phases} --seed {seed}"
    words += f" --max-examples {examples} --report json --report-json-path {report}"
    done = host.run(PROGRAM, *words.split(), check=False, timeout_s=timeout_s)
    output = done.stdout + done.stderr
    assert report.exists(), output[-5000:]
    document = json.loads(report.read_text())
    failures = [f"{each['title']}: {each['operations']}" for each in document["failures"]]
    failures += [each["title"] for each in document["errors"]]
    if done.returncode and not failures:
        failures = [output[-5000:]]
    return Tried(document["test_cases"]["generated"], failures, document, output)


def _filled(config: str, host: Sandbox, base: str) -> str:
    """Fill in a session, its forms' token, and an order of it."""
    session = json.loads(host.fetch(f"{base}/api/cart"))["session"]
    own = ("-H", f"X-Session-ID: {session}")
    token = re.findall('name="token" value="([^"]+)"', host.fetch(f"{base}/", *own))[0]
    order = '{"items":[{"product_id":3,"quantity":1}]}'
    placed = json.loads(host.fetch(f"{base}/api/orders", *own, "-d", order))["id"]
    for word, text in (("SESSION", session), ("TOKEN", token), ("ORDER", placed)):
        config = config.replace(f'"{word}"', f'"{text}"')
    return config
