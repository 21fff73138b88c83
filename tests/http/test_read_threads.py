"""Threads for reads: tenants share them, and no tenant takes all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tallystick.http.bridge import READ_THREADS
from tallystick.http.read_threads import REQUEST, ReadThreads
from tallystick.identity.access import Principal, Scope
from tallystick.identity.admission import ADMISSION
from tallystick.ledger.ledger import Ledger
from tests.support.live_server import TENANT, open_server


class _Admission:
    def __init__(self, tenant: str) -> None:
        self.principal = Principal(tenant=tenant, scopes=frozenset({Scope.READ}))


class Gate:
    """A question that threads wait in until they are let go."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self._open = threading.Event()

    def question(self, name: str) -> Callable[[], str]:
        def ask() -> str:
            self.entered.append(name)
            assert self._open.wait(30)
            return name

        return ask

    def let_go(self) -> None:
        self._open.set()


@contextmanager
def threads_of(count: int, gate: Gate) -> Iterator[ReadThreads]:
    threads = ReadThreads(asyncio.get_running_loop(), count)
    try:
        yield threads
    finally:
        gate.let_go()
        threads.close()


def ask(
    threads: ReadThreads, tenant: str | None, question: Callable[[], Any]
) -> asyncio.Future[Any]:
    REQUEST.set(None if tenant is None else {ADMISSION: _Admission(tenant)})
    return threads.begin(question)


async def entered(gate: Gate, count: int) -> list[str]:
    async with asyncio.timeout(10):
        while len(gate.entered) < count:
            await asyncio.sleep(0.001)
    # Nothing more comes.
    await asyncio.sleep(0.02)
    return gate.entered


def test_a_tenant_leaves_threads_for_those_that_come_later() -> None:
    async def scene() -> None:
        gate = Gate()
        with threads_of(16, gate) as threads:
            asked = [ask(threads, "a", gate.question("a")) for _ in range(50)]
            assert len(await entered(gate, 11)) == 11
            asked += [ask(threads, "b", gate.question("b")) for _ in range(50)]
            assert (await entered(gate, 15)).count("b") == 4
            asked += [ask(threads, "c", gate.question("c")) for _ in range(50)]
            assert (await entered(gate, 16)).count("c") == 1
            gate.let_go()
            assert sorted(await asyncio.gather(*asked)) == ["a"] * 50 + ["b"] * 50 + ["c"] * 50

    asyncio.run(scene())


def test_who_waits_is_served_in_turn() -> None:
    async def scene() -> None:
        gate = Gate()
        with threads_of(1, gate) as threads:
            first = ask(threads, "a", gate.question("a"))
            order: list[str] = []
            later = [
                ask(threads, tenant, partial(order.append, tenant))
                for tenant in ("a", "a", "a", "b", "c")
            ]
            gate.let_go()
            await asyncio.gather(first, *later)
            assert order == ["a", "b", "c", "a", "a"]

    asyncio.run(scene())


def test_who_went_away_while_waiting_is_not_begun() -> None:
    async def scene() -> None:
        gate = Gate()
        with threads_of(1, gate) as threads:
            first = ask(threads, "a", gate.question("a"))
            gone = ask(threads, "b", gate.question("gone"))
            kept = ask(threads, "b", gate.question("kept"))
            gone.cancel()
            gate.let_go()
            assert (await first, await kept) == ("a", "kept")
            assert gate.entered == ["a", "kept"]

    asyncio.run(scene())


def test_what_a_function_raises_is_raised_and_its_thread_is_free_again() -> None:
    def fail() -> None:
        raise KeyError("x")

    async def scene() -> None:
        gate = Gate()
        with threads_of(1, gate) as threads:
            for _ in range(3):
                with pytest.raises(KeyError):
                    await ask(threads, None, fail)
            gate.let_go()
            assert await ask(threads, "a", gate.question("a")) == "a"

    asyncio.run(scene())


def test_slow_questions_of_one_tenant_leave_the_others_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    find = Ledger.find

    def slow(ledger: Ledger, tenant: str, *args: Any, **options: Any) -> Any:
        if tenant == TENANT:
            assert go_on.wait(30)
        return find(ledger, tenant, *args, **options)

    monkeypatch.setattr(Ledger, "find", slow)
    with open_server(tmp_path / "data", query_seconds=600.0) as live:
        other = live.create_tenant("other")

        def ask_slowly() -> None:
            with live.http() as http:
                assert http.get("/v1/events", timeout=60).status_code == 200

        askers = [threading.Thread(target=ask_slowly) for _ in range(3 * READ_THREADS)]
        for asker in askers:
            asker.start()
        try:
            with live.http(other) as http:
                for _ in range(20):
                    assert http.get("/v1/events", timeout=httpx2.Timeout(20)).status_code == 200
        finally:
            go_on.set()
            for asker in askers:
                asker.join()
