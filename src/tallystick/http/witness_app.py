"""A witness on the web: it takes checkpoints of the logs it knows and shows what it cosigned.

Source: C2SP tlog-witness.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tallystick.errors import StoreBusy, StoreError, TallystickError, TooLarge
from tallystick.http.body import body_of
from tallystick.http.server import serve_one
from tallystick.witness.cosign import Witness
from tallystick.witness.requests import ADD_CHECKPOINT, REQUEST_BYTES_MAX

_INDEX = "A witness of transparency logs (https://c2sp.org/tlog-witness). Its keys:\n\n"


def witness_app(witness: Witness) -> Starlette:
    """Return the application of one witness."""

    async def add(request: Request) -> Response:
        try:
            body = await body_of(request, REQUEST_BYTES_MAX)
            reply = await run_in_threadpool(witness.add_checkpoint, body)
        except TallystickError as error:
            return PlainTextResponse(f"{error.message}\n", _status_of(error))
        return Response(reply.body, reply.status, media_type=reply.media_type)

    async def checkpoint(request: Request) -> Response:
        path = f"{request.path_params['origin_hash']}/checkpoint"
        note = await run_in_threadpool(witness.checkpoint, path)
        if note is None:
            return PlainTextResponse("this witness never cosigned a checkpoint of that log\n", 404)
        return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})

    async def index(request: Request) -> Response:
        keys = "".join(f"{cosigner.verifier}\n" for cosigner in witness.cosigners)
        return PlainTextResponse(_INDEX + keys)

    return Starlette(
        routes=[
            Route("/", index, methods=["GET"]),
            Route(f"/{ADD_CHECKPOINT}", add, methods=["POST"]),
            Route("/{origin_hash}/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


def serve_witness(witness: Witness, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve a witness until SIGINT or SIGTERM; `ready` is called with its URL."""
    serve_one(witness_app(witness), listener, ready)


def _status_of(error: TallystickError) -> int:
    if isinstance(error, TooLarge):
        return 413
    return 503 if isinstance(error, StoreBusy | StoreError) else 400
