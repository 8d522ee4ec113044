"""A real Chromium in a sandbox's network, and the dashboard that is served there."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.support.sandbox import INVOKE, Sandbox

PHONE = (360, 740)
DESK = (1280, 900)
#: A slow page on a busy machine is no failure; what must be quick is timed by itself.
TIMEOUT_MS = 20_000
#: A foreign name that resolves to this machine: DNS rebinding.
REBOUND = "rebound.example"
_SERIOUS = {"serious", "critical"}


@contextmanager
def serving(
    host: Sandbox, *options: str, port: int = 0
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve the dashboard of a host; gives its process and its address."""
    words = (INVOKE, "dashboard", "--port", str(port), *options)
    process = host.start(*words, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.match(r"(http://127\.0\.0\.1:\d+/) ", line)
        assert match, line + process.stderr.read()
        yield process, match[1]
    finally:
        process.kill()
        process.wait()


@contextmanager
def served(host: Sandbox, *options: str) -> Iterator[str]:
    """Serve the dashboard of a host, which ends it in good order; gives its address."""
    with serving(host, *options) as (process, url):
        yield url
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


@contextmanager
def chromium(host: Sandbox | None, folder: Path) -> Iterator[Browser]:
    """Run Debian's Chromium (or another that is installed) on a host; None: on this machine."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium (make setup)")
    launcher = folder / "chromium-there"
    words = " ".join(host.command([program]) if host else [program])
    launcher.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    launcher.chmod(0o755)
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root; it loads nothing but our own page.
        browser = playwright.chromium.launch(
            executable_path=str(launcher),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class OpenPage:
    """A page of the dashboard, and its console messages."""

    page: Page
    context: BrowserContext
    messages: list[str] = field(default_factory=list)

    def state(self, world: str, replica: str) -> str | None:
        return self.page.get_attribute(f'#{world} [data-node="{replica}"]', "data-state")

    def await_state(self, world: str, replica: str, state: str, within_s: float) -> None:
        node = f'#{world} [data-node="{replica}"][data-state="{state}"]'
        self.page.wait_for_selector(node, timeout=within_s * 1000)

    def await_all_up(self, world: str) -> None:
        verdict = f'#{world} [data-of="verdict"][data-state="up"]'
        self.page.wait_for_selector(verdict, timeout=TIMEOUT_MS)

    def barriers(self) -> list[str]:
        """List axe's serious and critical findings."""
        results = Axe().run(self.page)
        return [
            f"{rule['id']}: {rule['help']}: {[node['html'][:120] for node in rule['nodes']][:3]}"
            for rule in results.response["violations"]
            if rule["impact"] in _SERIOUS
        ]


@contextmanager
def open_page(
    browser: Browser, address: str, size: tuple[int, int] = DESK, scheme: str = "light"
) -> Iterator[OpenPage]:
    """Open the page in a context of its own; its console must stay silent."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        opened = OpenPage(context.new_page(), context)
        opened.page.on(
            "console", lambda message: opened.messages.append(f"{message.type}: {message.text}")
        )
        opened.page.on("pageerror", lambda error: opened.messages.append(str(error)))
        opened.page.goto(address)
        yield opened
        assert opened.messages == []
    finally:
        context.close()
