"""`serve` and `demo`."""

from __future__ import annotations

import sys

import click

from tallystick.cli.sample_events import sample_drafts
from tallystick.cli.target import Reach, with_reach
from tallystick.data_folder import SOCKET_FILE
from tallystick.dialects import DIALECTS
from tallystick.errors import StoreBusy
from tallystick.followers.log_lines import configure_logging
from tallystick.http.app import App
from tallystick.http.server import listen
from tallystick.http.server import serve as run_server
from tallystick.identity import acts
from tallystick.identity.access import Scope
from tallystick.node.node import Node, open_node

DEFAULT_TENANT = "default"


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: 8080]")
@click.option("--demo", is_flag=True, help="Fill an empty store with a little sample data.")
@click.option("--new", is_flag=True, help="Begin an empty log in a folder whose ledger is gone.")
@with_reach
def serve(reach: Reach, host: str | None, port: int | None, demo: bool, new: bool) -> None:
    """Run the server until Ctrl-C.

    An empty data folder gets a tenant `default` and an admin key, which is printed once. With
    --database any number of servers share one log, each with a data folder of its own that holds
    its indexes and the same signing key.
    """
    settings = reach.settings(host=host, port=port)
    configure_logging(settings.log_level)
    # The address first: a server that cannot listen must not make a tenant and lose its key.
    listener = listen(settings.host, settings.port)
    node = open_node(reach.folder, settings, followers=True, new=new)
    try:
        key = _first_tenant(node)
        for problem in node.problems:
            click.echo(f"tallystick: {problem}", err=True)
        if demo:
            _fill(node, reach)
        app = App(node, DIALECTS)
        control_socket = reach.folder / SOCKET_FILE

        def announce(url: str) -> None:
            app.console.address = app.console.address or url
            _announce(reach, app.console.new_link(), url, key)

        run_server(app, listener, control_socket, announce)
    finally:
        node.close()
    click.echo("tallystick: stopped", err=True)


@click.command("console-link")
@with_reach
def console_link(reach: Reach) -> None:
    """Print a link that signs the operator in to the console, once, within 15 minutes.

    The server must run on this machine: the link is made through its data folder.
    """
    with reach.running() as client:
        made = client.request("POST", "/v1/admin/console-links")
    reach.show(made, lambda: made["url"])


@click.command()
@click.option("--events", type=click.IntRange(1, 100_000), default=500, show_default=True)
@with_reach
def demo(reach: Reach, events: int) -> None:
    """Add generated sample events to a tenant."""
    with reach.client() as client:
        now_ms = sample_now_ms()
        drafts = sample_drafts(events, now_ms)
        errors = [line.error for lines in client.append_lines(drafts) for line in lines]
    reasons = [error for error in errors if error is not None]
    stored = len(errors) - len(reasons)
    counts = {"stored": stored, **({"failed": len(reasons)} if reasons else {})}
    reach.show(counts, lambda: f"{stored} events stored")
    if reasons:
        click.echo(f"tallystick: {len(reasons)} events refused: {reasons[0]}", err=True)
        raise SystemExit(1)


def sample_now_ms() -> int:
    """Return the time that sample data leads up to."""
    from tallystick.clock import SystemClock

    return SystemClock().now_ms()


def _first_tenant(node: Node) -> str | None:
    """Make the tenant of an empty folder; return the key that is shown once."""
    if node.identity.tenants():
        return None
    if node.store.log_heads():
        raise StoreBusy("the store is still being copied", hint="finish that tallystick copy first")
    now_ms = node.clock.now_ms()
    tenant, act = acts.create_tenant(
        DEFAULT_TENANT, server_name=node.settings.server_name, now_ms=now_ms
    )
    _, secret, key_act = acts.create_key(
        tenant.id, (Scope.ADMIN,), now_ms=now_ms, label="first key"
    )
    node.ledger.administer(tenant.id, act)
    node.ledger.administer(tenant.id, key_act)
    return secret


def _fill(node: Node, reach: Reach) -> None:
    tenant = node.identity.tenants()[0].id
    if node.ledger.proofs.head(tenant).size > 2:
        return
    from tallystick.http.native.append import prepare_events

    items = prepare_events(sample_drafts(500, node.clock.now_ms()))
    node.ledger.append_each(tenant, items, atomic=True)
    click.echo(f"tallystick: {len(items)} sample events stored", err=True)


def _announce(reach: Reach, link: str, url: str, key: str | None) -> None:
    if reach.as_json:
        reach.show({"url": url, "key": key}, lambda: "")
        sys.stdout.flush()
        return
    click.echo(f"Tallystick listens on {url}")
    if key is not None:
        click.echo(f"Admin key of tenant {DEFAULT_TENANT} (shown once, keep it): {key}")
    else:
        click.echo("Make another key with: tallystick keys create --scope admin")
    click.echo("Open the console with this link (once, within 15 minutes):")
    click.echo(f"  {link}")
    click.echo("Stop with Ctrl-C.")
    sys.stdout.flush()


COMMANDS = (serve, demo, console_link)
