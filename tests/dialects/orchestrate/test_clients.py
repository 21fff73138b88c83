"""The original clients, unmodified, against a real server.

npm `orchestrate` 0.8.2 brings its own tests, written against the live service; PyPI `porc` 0.5.4
is imported through a shim (see `clients/porc_shim.py`); the vendor's Java client 0.13.0 is driven
through everything that it can do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.dialects.orchestrate.client import Api
from tests.dialects.orchestrate.clients.porc_shim import import_porc
from tests.support import jvm, npm
from tests.support.needs import ROOT

PROJECT = Path(__file__).parent / "clients" / "js"
JAVA_CLIENT = ROOT / "tests" / "clients" / "orchestrate-java"

REFS_OF_THE_ORIGINAL = {
    "Key-Value Get by ref",
    "Key-Value List refs for a key",
    "Key-Value If-Match put",
}
"""Tests that compare refs with values of the original's hash function, which is lost."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the npm package as published, beside what it needs."""
    modules = npm.installed(PROJECT)
    folder = tmp_path_factory.mktemp("js")
    (folder / "node_modules").symlink_to(modules)
    package = folder / "orchestrate"
    shutil.copytree(modules / "orchestrate", package)
    # Its tests load the client from where a coverage tool would have put it.
    (package / "lib-cov").symlink_to(package / "lib")
    return package


def own_tests(package: Path, api: Api) -> Any:
    """Run the package's own tests and return mocha's report."""
    environment = {
        **os.environ,
        "ORCHESTRATE_API_PROTOCOL": "http:",
        "ORCHESTRATE_API_KEY": api.key,
        "ORCHESTRATE_API_ENDPOINT": api.url.removeprefix("http://"),
        "ORCHESTRATE_CLIENT": str(package / "lib" / "client.js"),
        "NODE_NO_WARNINGS": "1",
    }
    mocha = package.parent / "node_modules" / "mocha" / "bin" / "_mocha"
    result = subprocess.run(
        ["node", str(mocha), "-u", "tdd", "-R", "json", "-t", "20000",
         "-r", str(PROJECT / "preload.js"), "test"],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    start = result.stdout.find("{\n")
    assert start >= 0, result.stdout + result.stderr
    return json.loads(result.stdout[start:])


@pytest.mark.needs("node")
@pytest.mark.row("O-1", "O-4", "O-12", "O-14", "O-19", "O-25", "O-35", "O-40", "O-62", "O-63")
@pytest.mark.row("O-66", "O-69", "O-70", "O-72", "O-73", "O-74", "O-75", "O-79", "O-80")
def test_node_client_passes_its_own_tests(api: Api, package: Path) -> None:
    report = own_tests(package, api)
    failed = {test["fullTitle"]: test["err"].get("message") for test in report["failures"]}
    assert failed.keys() == REFS_OF_THE_ORIGINAL, failed
    assert len(report["passes"]) == 58
    assert report["stats"]["tests"] == 61


@pytest.fixture(scope="module")
def porc() -> Any:
    """Return the Python client."""
    return import_porc()


@pytest.fixture
def client(porc: Any, api: Api) -> Any:
    """Return a Python client of a fresh application."""
    return porc.Client(api.key, api.url)


@pytest.mark.row("O-1", "O-4")
def test_porc_pings(porc: Any, client: Any, api: Api) -> None:
    client.ping().raise_for_status()
    assert porc.Client("HaHa", api.url).ping().status_code == 401


@pytest.mark.row("O-35", "O-36", "O-46", "O-48", "O-50", "O-54", "O-57", "O-58", "O-59", "O-7")
def test_porc_handles_events(client: Any) -> None:
    made = client.post_event("users", "k@x.y", "timeline", {"n": 1}, datetime(2014, 5, 13))
    made.raise_for_status()
    assert (made.collection, made.key, made.type) == ("users", "k@x.y", "timeline")
    assert made.timestamp == "1399939200000"
    client.post_event("users", "k@x.y", "timeline", {"n": 2}).raise_for_status()
    name = ("users", "k@x.y", "timeline", made.timestamp, made.ordinal)
    got = client.get_event(*name)
    assert got["value"] == {"n": 1}
    assert got.ref == f"{made.ref}-gzip"
    updated = client.put_event(*name, {"n": 3}, got.ref)
    updated.raise_for_status()
    assert len(updated) == 0
    assert client.put_event(*name, {"n": 4}, made.ref).status_code == 412
    pages = client.list_events("users", "k@x.y", "timeline", limit=1)
    assert [row["value"] for row in pages.all()] == [{"n": 2}, {"n": 3}]
    ends = {"endEvent": f"{made.timestamp}/{made.ordinal}", "afterEvent": datetime(2014, 1, 1)}
    assert len(client.list_events("users", "k@x.y", "timeline", **ends).all()) == 1
    client.delete_event(*name, updated.ref).raise_for_status()
    assert client.get_event(*name).status_code == 404


@pytest.mark.row("O-11", "O-12", "O-13", "O-14", "O-16", "O-17", "O-22", "O-24", "O-28", "O-29")
@pytest.mark.row("O-23")
def test_porc_handles_items(porc: Any, client: Any) -> None:
    put = client.put("users", "a/b", {"n": 1}, False)
    put.raise_for_status()
    assert put.key == "a%2Fb"
    assert client.put("users", "a/b", {"n": 2}, False).status_code == 412
    got = client.get("users", "a/b")
    assert (got.json, got.ref) == ({"n": 1}, f"{put.ref}-gzip")
    client.put("users", "a/b", {"n": 2}, got.ref).raise_for_status()
    client.patch("users", "a/b", porc.Patch().increment("n").add("x", 1)).raise_for_status()
    client.patch_merge("users", "a/b", {"x": None}).raise_for_status()
    assert client.get("users", "a/b").json == {"n": 3}
    assert client.get("users", "a/b", put.ref).json == {"n": 1}
    assert client.refs("users", "a/b", values=True)["count"] == 4
    assert client.head("users", "a/b").status_code == 200
    client.post("users", {"n": 9}).raise_for_status()
    pages = client.list("users", limit=1)
    assert len(pages.all()) == 2
    client.delete("users", "a/b").raise_for_status()
    assert client.refs("users", "a/b").status_code == 404
    client.delete("users").raise_for_status()
    assert client.list("users").all() == []


@pytest.mark.row("O-79")
def test_porc_handles_relations(client: Any) -> None:
    for key in ("a", "b"):
        client.put("users", key, {"key": key}).raise_for_status()
    client.put_relation("users", "a", "likes", "users", "b").raise_for_status()
    assert client.get_relations("users", "a", "likes")["results"][0]["value"] == {"key": "b"}
    client.delete_relation("users", "a", "likes", "users", "b").raise_for_status()
    assert client.get_relations("users", "a", "likes")["count"] == 0


@pytest.mark.row("O-63", "O-70", "O-71", "O-72", "O-75")
def test_porc_searches(porc: Any, client: Any) -> None:
    for n in range(3):
        client.put("users", f"k{n}", {"n": n, "word": "photo trip"}).raise_for_status()
        client.post_event("users", f"k{n}", "timeline", {"word": "trip"}).raise_for_status()
    assert len(client.search("users", "@path.kind:event AND trip", limit=1).all()) == 3
    search = porc.Search().query("trip").limit(2).sort("n", "desc").aggregate("stats", "n")
    pages = client.search("users", search)
    first = pages.next()
    assert [row["value"]["n"] for row in first["results"]] == [2, 1]
    assert first["aggregates"][0]["statistics"]["max"] == 2
    second = pages.next()
    assert [row["value"]["n"] for row in second["results"]] == [0]
    assert pages.prev()["count"] == 2


@pytest.mark.needs("java")
@pytest.mark.row("O-1", "O-4", "O-12", "O-14", "O-19", "O-25", "O-35", "O-40", "O-62", "O-63")
@pytest.mark.row("O-79", "O-81")
def test_java_client(api: Api) -> None:
    address = urlsplit(api.url)
    command = [*jvm.compiled(JAVA_CLIENT), str(address.hostname), str(address.port), api.key]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    told = dict(line.split("\t") for line in result.stdout.splitlines())
    assert told == {
        "stranger": "refused",
        "item": "users/kate",
        "if absent": "ItemAlreadyPresentException",
        "patched": '{"n":2,"m":1}',
        "first version": '{"n":1}',
        "if match": "ItemVersionMismatchException",
        "none": "null",
        "posted deleted": "true",
        "event": "log at 5",
        "event patched": '{"n":2,"new":1}',
        "same ordinal": "true",
        "events": '6{"n":9}5{"n":2,"new":1}',
        "event purged": "true",
        "event gone": "null",
        "relation": "true",
        "related": 'kim{"n":7}',
        "relation purged": "true",
        "bulk": "SUCCESS 3",
        "search": "1 of 2, more: true",
        "event found": '{"word":"trip"}',
        "collection deleted": "true",
    }
