"""OAuth clients: programs that get tokens with a secret of their own."""

from __future__ import annotations

import click

from tallystick.cli.target import Reach, with_reach
from tallystick.client.client import Json


@click.group()
def clients() -> None:
    """Create, list and delete OAuth clients."""


@clients.command("create")
@click.argument("name")
@click.option("--id", "client_id", help="Use this existing id instead of a new one.")
@click.option("--secret", help="Use this existing secret instead of a new one.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("read", "write"),
    show_default=True,
    help="Permission of its tokens; repeatable.",
)
@click.option("--dialect", help="Dialect of the client, such as datatrails.")
@click.option("--user", help="Id of the user whose roles its tokens have.")
@with_reach
def create_client(
    reach: Reach,
    name: str,
    client_id: str | None,
    secret: str | None,
    scopes: tuple[str, ...],
    dialect: str | None,
    user: str | None,
) -> None:
    """Create the OAuth client NAME; its secret is printed once."""
    body: Json = {
        "name": name, "id": client_id, "secret": secret, "scopes": scopes, "dialect": dialect,
        "user": user,
    }  # fmt: skip
    made = reach.ask_tenant("POST", "clients", body=body)
    reach.show(made, lambda: f"{made['secret']}\n(client {made['id']}, scope {made['scope']})")


@clients.command("list")
@with_reach
def list_clients(reach: Reach) -> None:
    """List OAuth clients, without their secrets."""
    rows = reach.ask_tenant("GET", "clients")["clients"]
    reach.show_table(rows, ("id", "name", "scope", "dialect", "user", "created_at"))


@clients.command("delete")
@click.argument("client_id")
@with_reach
def delete_client(reach: Reach, client_id: str) -> None:
    """Delete an OAuth client; its tokens end with it."""
    reach.ask_tenant("DELETE", "clients", client_id)
    reach.show({"deleted": client_id}, lambda: f"client {client_id} deleted")


COMMANDS = (clients,)
