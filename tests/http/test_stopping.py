"""A server that stops at once tells the application, and still waits for who is being answered."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tallystick.http.server import PromptServer


class Application:
    """Answers once it may, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for part in ("startup", "shutdown"):
                self.told.append((await receive())["type"])
                await send({"type": f"lifespan.{part}.complete"})
            return
        self.asked.set()
        await asyncio.to_thread(self.may_answer.wait)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


def test_request_under_way_is_answered_and_the_application_is_told_last() -> None:
    app = Application()
    server = PromptServer(uvicorn.Config(app, lifespan="on", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = threads.submit(lambda: asyncio.run(server.serve([listener])))
        answer = threads.submit(httpx2.get, url, timeout=30)
        assert app.asked.wait(30)
        server.should_exit = True
        with pytest.raises(TimeoutError):
            running.result(timeout=0.3)
        app.may_answer.set()
        assert answer.result().status_code == 204
        running.result()
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]


def test_application_is_told_though_nobody_is_connected() -> None:
    app = Application()
    server = PromptServer(uvicorn.Config(app, lifespan="on", log_config=None))
    server.should_exit = True
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(server.serve([listener]))
    assert app.told == ["lifespan.startup", "lifespan.shutdown"]
