"""The dialect's OpenAPI document, and whether an answer is what it promises."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Any

import httpx2
import jsonschema_rs
import yaml  # type: ignore[import-untyped]  # the package comes without types


@functools.cache
def document() -> dict[str, Any]:
    """Return the document."""
    folder = resources.files("tallystick.dialects.cloudfoundry")
    loaded: dict[str, Any] = yaml.safe_load(folder.joinpath("openapi.yaml").read_text())
    return loaded


def operations() -> set[tuple[str, str]]:
    """Return method and path of everything that is documented."""
    return {
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in item
        if method != "parameters"
    }


def check_answer(response: httpx2.Response) -> None:
    """Fail unless an answer of a documented operation has a documented status and shape."""
    method = "GET" if response.request.method == "HEAD" else response.request.method
    path = template_of(response.request.url.path)
    if path is None or (method, path) not in operations():
        return
    answers = document()["paths"][path][method.lower()]["responses"]
    status = str(response.status_code)
    assert status in answers, f"{method} {path} answers {status}, which is not documented"
    response.read()
    assert int(response.headers["content-length"]) >= len(response.content)
    if response.content:
        _validator(method.lower(), path, status).validate(response.json())


def template_of(path: str) -> str | None:
    """Return the documented path that a path is an instance of."""
    return next((known for known in document()["paths"] if _pattern(known).fullmatch(path)), None)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))


@functools.cache
def _validator(method: str, path: str, status: str) -> jsonschema_rs.Draft202012Validator:
    answer = document()["paths"][path][method]["responses"][status]
    if "$ref" in answer:
        answer = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = answer["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator(
        {"allOf": [schema], "components": document()["components"]}
    )
