"""Blobs and attachments over HTTP. Source: wire specification of DataTrails 3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tallystick.dialects import range_header
from tallystick.dialects.datatrails import attachments, quotas, rendering
from tallystick.dialects.datatrails.caller import DataTrailsCaller, actor_of, caller_of
from tallystick.dialects.datatrails.events import TrailEvents
from tallystick.dialects.datatrails.multipart import FORM_BYTES, FileForm
from tallystick.dialects.datatrails.options import Options
from tallystick.dialects.datatrails.routes import json_response
from tallystick.dialects.services import Services
from tallystick.errors import Malformed, NotFound
from tallystick.events import ids
from tallystick.events.event import Json
from tallystick.identity.access import Scope
from tallystick.ledger.blob_erasure import erase_blob
from tallystick.ledger.blobs import CHUNK_BYTES, Blob, Upload
from tallystick.query.expr import Everything

BASE = "/archivist/v1/blobs"
MOVED = "/extensions/datatrails/blobs/{uuid}"
ATTACHMENTS = "/archivist/v2/attachments/events/{event}/{uuid}"

# Uploaded by anybody with a token: shown by a browser, it must not act as this server's page.
_INERT = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Content-Disposition": "attachment",
    "Cache-Control": "private, max-age=31536000, immutable",
    "Accept-Ranges": "bytes",
}


class BlobsApi:
    """Handlers of blobs."""

    def __init__(self, services: Services, options: Options) -> None:
        self._services = services
        self._blobs = services.blobs
        self._quota = options.quotas.blobs
        self._limit_bytes = services.settings.blob_bytes
        self._events = TrailEvents(services)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""
        return [
            Route(BASE, self.upload, methods=["POST"]),
            Route(MOVED, self.upload, methods=["POST"]),
            Route(MOVED, self.erase, methods=["DELETE"]),
            Route(f"{BASE}/{{uuid}}", self.download, methods=["GET"]),
            Route(f"{BASE}/{{uuid}}/info", self.info, methods=["GET"]),
            Route(ATTACHMENTS, self.download, methods=["GET"]),
            Route(f"{ATTACHMENTS}/info", self.info, methods=["GET"]),
        ]

    async def upload(self, request: Request) -> Response:
        """Store the file of a form, under the id of the path if it has one."""
        caller = caller_of(self._services, request, Scope.WRITE)
        id = request.path_params.get("uuid")
        if id is not None and not ids.is_uuid(id):
            raise Malformed("the id of a blob is a UUID", path="uuid")
        run = self._services.door().run
        upload = await run(self._begin, caller)
        try:
            form = FileForm(request.headers.get("content-type"), upload, self._limit_bytes)
            async for piece in self._services.pieces(request, self._limit_bytes + FORM_BYTES):
                await run(form.write, piece)
            told = await run(self._store, caller, upload, form.finish(), id)
        finally:
            await run(upload.abort)
        return json_response(told)

    async def erase(self, request: Request) -> Response:
        """Destroy a blob: its record, and its content unless another blob has the same."""
        caller = caller_of(self._services, request, Scope.PURGE)
        await self._services.door().run(self._erase, caller, request)
        return json_response({})

    async def info(self, request: Request) -> Response:
        """Answer the record of a blob."""
        caller = caller_of(self._services, request, Scope.READ)
        blob = await self._services.door().run(self._find, caller, request)
        return json_response(attachments.rendered(blob, caller.tenant_identity))

    async def download(self, request: Request) -> Response:
        """Answer the bytes of a blob, or those that a range asks for."""
        caller = caller_of(self._services, request, Scope.READ)
        blob = await self._services.door().run(self._find, caller, request)
        headers = {**_INERT, "ETag": f'"{blob.digest}"', "Content-Type": blob.mime_type}
        try:
            part = range_header.part_of(request.headers.get("range"), blob.size)
        except range_header.Unsatisfiable as error:
            return unsatisfiable(error)
        if part is None:
            whole = headers | {"Content-Length": str(blob.size)}
            return StreamingResponse(self._content(blob, 0, blob.size), 200, whole)
        return StreamingResponse(
            self._content(blob, part.start, part.stop), 206, headers | part.headers()
        )

    async def _content(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]:
        run = self._services.door().run
        for at in range(start, stop, CHUNK_BYTES):
            yield await run(self._blobs.read, blob, at, min(at + CHUNK_BYTES, stop))

    def _begin(self, caller: DataTrailsCaller) -> Upload:
        quotas.require(self._quota, lambda: len(self._blobs.list(caller.tenant)), "blobs")
        return self._blobs.content.begin(caller.tenant)

    def _store(
        self, caller: DataTrailsCaller, upload: Upload, mime_type: str, id: str | None
    ) -> Json:
        blob = self._blobs.keep(
            upload,
            caller.tenant,
            self._services.ledger.administer,
            mime_type=mime_type,
            now_ms=self._services.clock.now_ms(),
            dialect=rendering.DIALECT,
            id=None if id is None else id.lower(),
            actor=actor_of(self._services, caller.principal),
        )
        return attachments.rendered(blob, caller.tenant_identity)

    def _erase(self, caller: DataTrailsCaller, request: Request) -> None:
        blob = self._find(caller, request)
        erase_blob(
            self._services.ledger, self._blobs, caller.tenant, blob.id,
            dialect=rendering.DIALECT, actor=actor_of(self._services, caller.principal),
        )  # fmt: skip

    def _find(self, caller: DataTrailsCaller, request: Request) -> Blob:
        """Return the blob of a path, having seen that its event names it if there is one.

        Who sees only some of the events gets blobs only through those.
        """
        id = request.path_params["uuid"].lower()
        event = request.path_params.get("event")
        if event is not None:
            self._events.require_attachment(caller, event, id)
        blob = self._blobs.get(caller.tenant, id)
        if blob is None or (event is None and not isinstance(caller.visible, Everything)):
            raise NotFound(f"there is no blob blobs/{id}")
        return blob


def unsatisfiable(error: range_header.Unsatisfiable) -> Response:
    """Return the answer to a range that lies outside."""
    body: Json = {"code": 11, "message": str(error), "details": []}
    return json_response(body, 416, {"Content-Range": f"bytes */{error.size}"})
