"""The route table of this API, and how a request finds its handler.

Paths are matched as they were sent, segment by segment, so that an encoded slash stays part of a
name. `openapi.yaml` describes the same table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from tallystick.dialects.orchestrate import bulk, collection, events, items, relations, search
from tallystick.dialects.orchestrate.request import OrchestrateExchange, names_in, owns
from tallystick.dialects.services import Services
from tallystick.errors import MethodNotAllowed, NotFound

Handler = Callable[..., Awaitable[Response]]

_WORD_AT = 2
"""Where paths longer than a collection and a key have a word: refs, events, relation, relations."""

_MANY = -1
"""Stands for any number of segments."""


class ResourceHandlers(NamedTuple):
    """One path of the API: its template, and the handler of each method."""

    template: str
    handlers: Mapping[str, Handler]


async def ping(exchange: OrchestrateExchange) -> Response:
    """Answer that the key is good, or the request would not have come so far."""
    return exchange.reply(200)


async def search_or_ping(exchange: OrchestrateExchange) -> Response:
    """Answer with what a query finds everywhere; without a query, that the key is good."""
    if exchange.parameter("query") is None:
        return await ping(exchange)
    return await search.search_everywhere(exchange)


async def list_or_search(exchange: OrchestrateExchange, name: str) -> Response:
    """Answer with items by key, or with what a query finds."""
    if exchange.parameter("query") is not None:
        return await search.search_collection(exchange, name)
    return await collection.list_items(exchange, name)


RESOURCES: tuple[ResourceHandlers, ...] = (
    ResourceHandlers(
        "/v0",
        {"HEAD": ping, "GET": search_or_ping, "POST": bulk.import_stream},
    ),
    ResourceHandlers(
        "/v0/{collection}",
        {
            "GET": list_or_search,
            "POST": items.post_item,
            "DELETE": collection.delete_collection,
        },
    ),
    ResourceHandlers(
        "/v0/{collection}/{key}",
        {
            "GET": items.get_item,
            "PUT": items.put_item,
            "PATCH": items.patch_item,
            "DELETE": items.delete_item,
        },
    ),
    ResourceHandlers("/v0/{collection}/{key}/refs", {"GET": items.list_versions}),
    ResourceHandlers("/v0/{collection}/{key}/refs/{ref}", {"GET": items.get_version}),
    ResourceHandlers(
        "/v0/{collection}/{key}/events/{type}",
        {"GET": events.list_events, "PUT": events.put_on_type, "POST": events.post_now},
    ),
    ResourceHandlers("/v0/{collection}/{key}/events/{type}/{timestamp}", {"POST": events.post_at}),
    ResourceHandlers(
        "/v0/{collection}/{key}/events/{type}/{timestamp}/{ordinal}",
        {
            "GET": events.get_event,
            "PUT": events.put_event,
            "PATCH": events.patch_event,
            "DELETE": events.delete_event,
        },
    ),
    ResourceHandlers(
        "/v0/{collection}/{key}/relation/{kind}/{to_collection}/{to_key}",
        {
            "GET": relations.get_relation,
            "PUT": relations.put_relation,
            "DELETE": relations.delete_relation,
        },
    ),
    ResourceHandlers("/v0/{collection}/{key}/relations/{kinds+}", {"GET": relations.walk}),
)


class Api(BaseRoute):
    """The API as one route of the server; errors pass through it.

    The server's own patterns would not do: they match decoded paths, and no line feeds.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this API."""
        is_ours = scope["type"] == "http" and owns(scope["path"])
        return (Match.FULL if is_ours else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> NoReturn:
        """Know no names: nobody asks for a path of this API by name."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = OrchestrateExchange(scope, receive, self._services)
        resource, names = match(names_in(exchange.path))
        handler = _handler(resource, exchange.method)
        response = await handler(exchange, *names)
        await response(scope, receive, send)


def routes(services: Services) -> Sequence[BaseRoute]:
    """Return what the server mounts."""
    return [Api(services)]


def match(names: Sequence[str]) -> tuple[ResourceHandlers, list[str]]:
    """Return the resource that decoded path segments lead to, and the names its handler takes.

    Raises: NotFound.
    """
    word = names[_WORD_AT] if len(names) > _WORD_AT else None
    resource = _RESOURCES.get((len(names), word))
    if resource is None and len(names) > _WORD_AT + 1:
        resource = _RESOURCES.get((_MANY, word))
    if resource is None:
        raise NotFound("no such path")
    return resource, [name for at, name in enumerate(names) if at != _WORD_AT]


def _handler(resource: ResourceHandlers, method: str) -> Handler:
    handler = resource.handlers.get(method)
    if handler is None and method == "HEAD":
        handler = resource.handlers.get("GET")
    if handler is None:
        raise MethodNotAllowed(allowed=methods_of(resource))
    return handler


def methods_of(resource: ResourceHandlers) -> tuple[str, ...]:
    """Return the methods of a resource, the HEAD that goes with every GET among them."""
    return tuple(sorted({*resource.handlers, *(["HEAD"] if "GET" in resource.handlers else [])}))


def _signature(resource: ResourceHandlers) -> tuple[int, str | None]:
    steps = resource.template.split("/")[2:]
    count = _MANY if steps and steps[-1].endswith("+}") else len(steps)
    return count, steps[_WORD_AT] if len(steps) > _WORD_AT else None


# By how many segments there are, and the one that is a word of this API's own.
_RESOURCES = {_signature(resource): resource for resource in RESOURCES}
