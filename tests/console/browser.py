"""Debian's Chromium for tests of the console: one browser a module, a context a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support import needs
from tests.support.live_server import LiveServer

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 320, "height": 640}
"""What is left of 1,280 pixels at 400 % zoom."""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; nothing is downloaded."""
    needs.demand("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=needs.chromium(), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def visiting(
    browser: Browser, server: LiveServer, *, signed_in: bool = True, **options: Any
) -> Iterator[Page]:
    """Yield a page of somebody who signed in as the operator; it must meet no error."""
    settings: dict[str, Any] = {"viewport": WIDE, "timezone_id": "Europe/Oslo", **options}
    context = browser.new_context(base_url=server.url, **settings)
    page = context.new_page()
    problems: list[str] = []
    hosts: set[str] = set()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "Failed to load resource" not in message.text
            else None
        ),
    )
    page.on("request", lambda request: hosts.add("/".join(request.url.split("/")[:3])))
    if signed_in:
        page.goto(f"/console/sign-in/{server.app.console.sessions.new_link()}")
    yield page
    context.close()
    assert problems == []
    assert hosts <= {server.url}
