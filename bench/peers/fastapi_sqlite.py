"""The plain peer: FastAPI, SQLAlchemy and SQLite, one commit a request.

Write-ahead log, the same lookups indexed, validation by pydantic, an API key checked against its
hash: what a careful developer writes in an afternoon, and nothing done to slow it down. SQLite gets
one connection, since threads that wait for its lock by polling are slower still. FastAPI reads
annotations as values, so they are not postponed here.
"""

import hashlib
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import ForeignKey, Index, String, Text, create_engine, event, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import QueuePool


class Resource(BaseModel):
    """Anything with a type and an id."""

    type: str
    id: str
    name: str | None = None


class EventIn(BaseModel):
    """An event as it comes in."""

    kind: str
    occurred_at: datetime | int | None = None
    actor: Resource | None = None
    target: Resource | None = None
    scopes: list[Resource] = []
    data: dict[str, Any] = {}


class Base(DeclarativeBase):
    """The declarative base."""


class Event(Base):
    """A row for each event."""

    __tablename__ = "events"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(255))
    occurred_at: Mapped[datetime]
    actor_type: Mapped[str | None] = mapped_column(String(64))
    actor_id: Mapped[str | None] = mapped_column(String(255))
    target_type: Mapped[str | None] = mapped_column(String(64))
    target_id: Mapped[str | None] = mapped_column(String(255))
    body: Mapped[str] = mapped_column(Text)
    __table_args__ = (
        Index("by_time", "tenant", "occurred_at"),
        Index("by_kind", "tenant", "kind", "occurred_at"),
        Index("by_actor", "tenant", "actor_type", "actor_id", "occurred_at"),
        Index("by_target", "tenant", "target_type", "target_id", "occurred_at"),
    )


class Scope(Base):
    """A row for each scope of an event."""

    __tablename__ = "scopes"
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"), primary_key=True)
    type: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    __table_args__ = (Index("by_scope", "type", "id"),)


def make_app(url: str, key: str) -> FastAPI:
    """Return the service on a database."""
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False},
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=60,
    )

    @event.listens_for(engine, "connect")
    def settle(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA busy_timeout = 10000")

    Base.metadata.create_all(engine)
    digest = hashlib.sha256(key.encode()).hexdigest()
    app = FastAPI()

    async def tenant(authorization: Annotated[str, Header()]) -> str:
        secret = authorization.removeprefix("Bearer ")
        if hashlib.sha256(secret.encode()).hexdigest() != digest:
            raise HTTPException(401)
        return "default"

    @app.post("/v1/events", status_code=201)
    async def create(body: EventIn, owner: Annotated[str, Depends(tenant)]) -> dict[str, Any]:
        row = to_row(body, owner)
        with engine.begin() as connection:
            connection.execute(insert(Event), row)
            if body.scopes:
                connection.execute(insert(Scope), to_scopes([body], [row]))
        return {"id": row["id"], **body.model_dump()}

    def store_lines(lines: list[bytes], owner: str) -> None:
        bodies = [EventIn.model_validate_json(line) for line in lines]
        rows = [to_row(body, owner) for body in bodies]
        scopes = to_scopes(bodies, rows)
        with engine.begin() as connection:
            connection.execute(insert(Event), rows)
            if scopes:
                connection.execute(insert(Scope), scopes)

    @app.post("/v1/batches")
    async def create_many(
        request: Request, owner: Annotated[str, Depends(tenant)]
    ) -> dict[str, int]:
        lines = (await request.body()).splitlines()
        await run_in_threadpool(store_lines, lines, owner)
        return {"stored": len(lines)}

    return app


def to_row(body: EventIn, tenant: str) -> dict[str, Any]:
    """Return the row of an event."""
    occurred_at = body.occurred_at
    if occurred_at is None:
        occurred_at = datetime.now(UTC)
    elif isinstance(occurred_at, int):
        occurred_at = datetime.fromtimestamp(occurred_at / 1000, UTC)
    return {
        "id": str(uuid.uuid4()),
        "tenant": tenant,
        "kind": body.kind,
        "occurred_at": occurred_at,
        "actor_type": body.actor.type if body.actor else None,
        "actor_id": body.actor.id if body.actor else None,
        "target_type": body.target.type if body.target else None,
        "target_id": body.target.id if body.target else None,
        "body": json.dumps(body.data),
    }


def to_scopes(bodies: list[EventIn], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the scopes of events, whose own rows are given."""
    return [
        {"event_id": row["id"], "type": one.type, "id": one.id}
        for body, row in zip(bodies, rows, strict=True)
        for one in body.scopes
    ]


if __name__ == "__main__":
    uvicorn.run(
        make_app(sys.argv[1], os.environ["BENCH_KEY"]), host="127.0.0.1", port=int(sys.argv[2]),
        log_level="error", access_log=False,
    )  # fmt: skip
