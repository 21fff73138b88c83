"""The plain peer on PostgreSQL without threads: FastAPI and a pool of asyncpg, no ORM.

The same tables, indexes and checks as its siblings, whose models make the tables. Batches go in by
COPY, the fastest way that PostgreSQL has. FastAPI reads annotations as values, so they are not
postponed here.
"""

import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from sqlalchemy import create_engine

from bench.peers.fastapi_sqlite import Base, Event, EventIn, Scope, to_row, to_scopes

CONNECTIONS = 16
_EVENT_COLUMNS = [column.name for column in Event.__table__.columns]
_SCOPE_COLUMNS = [column.name for column in Scope.__table__.columns]


def make_app(url: str, key: str) -> FastAPI:
    """Return the service on a database."""
    digest = hashlib.sha256(key.encode()).hexdigest()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    async def tenant(authorization: Annotated[str, Header()]) -> str:
        secret = authorization.removeprefix("Bearer ")
        if hashlib.sha256(secret.encode()).hexdigest() != digest:
            raise HTTPException(401)
        return "default"

    event_sql = _insert("events", _EVENT_COLUMNS)
    scope_sql = _insert("scopes", _SCOPE_COLUMNS)

    @app.post("/v1/events", status_code=201)
    async def create(body: EventIn, owner: Annotated[str, Depends(tenant)]) -> dict[str, Any]:
        row = _plain(to_row(body, owner))
        scopes = to_scopes([body], [row])
        async with app.state.pool.acquire() as connection, connection.transaction():
            await connection.execute(event_sql, *_values(row, _EVENT_COLUMNS))
            if scopes:
                await connection.executemany(
                    scope_sql, [_values(scope, _SCOPE_COLUMNS) for scope in scopes]
                )
        return {"id": row["id"], **body.model_dump()}

    @app.post("/v1/batches")
    async def create_many(
        request: Request, owner: Annotated[str, Depends(tenant)]
    ) -> dict[str, int]:
        lines = (await request.body()).splitlines()
        bodies = [EventIn.model_validate_json(line) for line in lines]
        rows = [_plain(to_row(body, owner)) for body in bodies]
        scopes = to_scopes(bodies, rows)
        async with app.state.pool.acquire() as connection, connection.transaction():
            await _copy(connection, "events", _EVENT_COLUMNS, rows)
            await _copy(connection, "scopes", _SCOPE_COLUMNS, scopes)
        return {"stored": len(lines)}

    return app


async def _copy(
    connection: asyncpg.Connection, table: str, columns: list[str], rows: list[dict[str, Any]]
) -> None:
    records = [_values(row, columns) for row in rows]
    await connection.copy_records_to_table(table, columns=columns, records=records)


def _values(row: dict[str, Any], columns: list[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in columns)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose time has no zone, as the column has it."""
    return {**row, "occurred_at": row["occurred_at"].replace(tzinfo=None)}


def _insert(table: str, columns: list[str]) -> str:
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"


def main() -> None:
    """Serve: `python -m bench.peers.fastapi_asyncpg URL PORT`."""
    url = sys.argv[1]
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    Base.metadata.create_all(engine)
    engine.dispose()
    uvicorn.run(
        make_app(url, os.environ["BENCH_KEY"]), host="127.0.0.1", port=int(sys.argv[2]),
        log_level="error", access_log=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
