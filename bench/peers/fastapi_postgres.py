"""The plain peer on PostgreSQL: FastAPI, SQLAlchemy and psycopg, one commit a request.

The same tables, indexes and checks as its SQLite sibling. Endpoints are synchronous, so each runs
on a thread of FastAPI's pool and takes a connection from one of SQLAlchemy's. FastAPI reads
annotations as values, so they are not postponed here.
"""

import hashlib
import os
import sys
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import create_engine, insert

from bench.peers.fastapi_sqlite import Base, Event, EventIn, Scope, to_row, to_scopes

CONNECTIONS = 16
"""Tried: 8 and 40 were slower."""


def make_app(url: str, key: str) -> FastAPI:
    """Return the service on a database."""
    engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=0)
    Base.metadata.create_all(engine)
    digest = hashlib.sha256(key.encode()).hexdigest()
    app = FastAPI()

    # Asynchronous, since it waits for nothing: a thread would cost more than the hash.
    async def tenant(authorization: Annotated[str, Header()]) -> str:
        secret = authorization.removeprefix("Bearer ")
        if hashlib.sha256(secret.encode()).hexdigest() != digest:
            raise HTTPException(401)
        return "default"

    def store(bodies: list[EventIn], owner: str) -> list[dict[str, Any]]:
        rows = [to_row(body, owner) for body in bodies]
        scopes = to_scopes(bodies, rows)
        # Many rows go out in few statements, by `insertmanyvalues` or `executemany`.
        with engine.begin() as connection:
            connection.execute(insert(Event), rows)
            if scopes:
                connection.execute(insert(Scope), scopes)
        return rows

    @app.post("/v1/events", status_code=201)
    def create(body: EventIn, owner: Annotated[str, Depends(tenant)]) -> dict[str, Any]:
        [row] = store([body], owner)
        return {"id": row["id"], **body.model_dump()}

    def store_lines(lines: list[bytes], owner: str) -> None:
        store([EventIn.model_validate_json(line) for line in lines], owner)

    @app.post("/v1/batches")
    async def create_many(
        request: Request, owner: Annotated[str, Depends(tenant)]
    ) -> dict[str, int]:
        lines = (await request.body()).splitlines()
        await run_in_threadpool(store_lines, lines, owner)
        return {"stored": len(lines)}

    return app


if __name__ == "__main__":
    uvicorn.run(
        make_app(sys.argv[1], os.environ["BENCH_KEY"]), host="127.0.0.1", port=int(sys.argv[2]),
        log_level="error", access_log=False,
    )  # fmt: skip
