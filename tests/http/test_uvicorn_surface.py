"""What we override and read of uvicorn is private there: a new version must still have it.

Fails before anything subtle does when the cap in `pyproject.toml` is raised.
"""

from __future__ import annotations

import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

OVERRIDDEN = {
    HttpToolsProtocol: {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "resume_writing": ["self"],
        "data_received": ["self", "data"],
        "on_message_begin": ["self"],
        "on_headers_complete": ["self"],
        "on_message_complete": ["self"],
        "on_body": ["self", "body"],
        "on_response_complete": ["self"],
        "_start_asgi_task": ["self", "cycle", "app"],
    },
    uvicorn.Server: {
        "capture_signals": ["self"],
        "main_loop": ["self"],
        "on_tick": ["self", "counter"],
        "shutdown": ["self", "sockets"],
    },
}
READ = {
    HttpToolsProtocol: (
        "loop", "transport", "flow", "cycle", "scope", "headers", "pipeline", "server_state",
    ),
    RequestResponseCycle: (
        "response_started", "response_complete", "disconnected", "keep_alive", "default_headers",
        "message_event", "on_response", "waiting_for_100_continue", "transport", "scope", "flow",
    ),
    FlowControl: ("read_paused", "write_paused"),
    uvicorn.Server: ("servers", "lifespan", "started", "should_exit", "server_state"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in OVERRIDDEN.items() for name in names]
)
def test_overridden_method_takes_what_we_pass_on(owner: type, name: str) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == OVERRIDDEN[owner][name]


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in READ.items() for name in names]
)
def test_attribute_that_we_read_is_set(owner: type, name: str) -> None:
    source = inspect.getsource(owner)
    assert f"self.{name} = " in source or f"self.{name}: " in source
