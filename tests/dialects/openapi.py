"""A dialect's OpenAPI document, and whether routes and answers are what it promises."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

import httpx2
import jsonschema_rs
import yaml  # type: ignore[import-untyped]  # the package comes without types
from starlette.routing import BaseRoute, Route


class Document:
    """The OpenAPI document of one dialect."""

    def __init__(self, dialect: str) -> None:
        folder = resources.files(f"tallystick.dialects.{dialect}")
        self.content: dict[str, Any] = yaml.safe_load(folder.joinpath("openapi.yaml").read_text())

    def operations(self) -> set[tuple[str, str]]:
        """Return method and path of everything that is documented."""
        return {
            (method.upper(), path)
            for path, item in self.content["paths"].items()
            for method in item
            if method != "parameters"
        }

    def check_answer(self, response: httpx2.Response) -> None:
        """Fail unless an answer of a documented operation has a documented status and shape."""
        method = response.request.method.lower()
        method = "get" if method == "head" else method
        template = self._template_of(response.request.url.path)
        if template is None or method not in self.content["paths"][template]:
            return
        answers = self.content["paths"][template][method]["responses"]
        status = str(response.status_code)
        assert status in answers or (status[0] in "45" and "default" in answers), status
        response.read()
        validator = self._validator(method, template, status)
        if response.content and validator is not None:
            validator.validate(response.json())

    @functools.cache  # noqa: B019  # one document a dialect, for the whole run
    def _template_of(self, path: str) -> str | None:
        known = sorted(self.content["paths"], key=lambda template: template.count("{"))
        return next((one for one in known if _pattern(one).fullmatch(path)), None)

    @functools.cache  # noqa: B019
    def _validator(
        self, method: str, template: str, status: str
    ) -> jsonschema_rs.Draft202012Validator | None:
        """Return what an answer in JSON must hold to, None for one that is documented as bytes."""
        answers = self.content["paths"][template][method]["responses"]
        answer = answers.get(status, answers.get("default"))
        if "$ref" in answer:
            answer = self.content["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        if "application/json" not in answer.get("content", {}):
            return None
        schema = answer["content"]["application/json"]["schema"]
        return jsonschema_rs.Draft202012Validator(
            {"allOf": [schema], "components": self.content["components"]}
        )


def served(routes: Iterable[BaseRoute], endings: Iterable[str] = ()) -> set[tuple[str, str]]:
    """Return method and path of routes; paths that differ by one of `endings` are one."""
    found = {
        (method, route.path)
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    return {
        (method, path)
        for method, path in found
        if not any((method, path.removesuffix(end)) in found - {(method, path)} for end in endings)
    }


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", template))
