"""Identity: tenants, keys, users, grants, key sets for JWTs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from tallystick.cli import tenant_end
from tallystick.cli.signing_key import external_key, rotate_key
from tallystick.cli.target import TENANTS, Reach, with_reach
from tallystick.client.client import Json
from tallystick.data_folder import KEY_FILE, held
from tallystick.durable import replace_file
from tallystick.errors import SettingsError
from tallystick.identity.acts import ACCESS_LOGS
from tallystick.log.keys import read_log_key
from tallystick.log.sealed_key import PASSPHRASE_VARIABLE, is_sealed, seal, unseal


@click.group()
def tenants() -> None:
    """Create and list tenants; each has its own log."""


@tenants.command("create")
@click.argument("name")
@click.option("--id", "tenant_id", help="Id; default: the name.")
@click.option("--alias", multiple=True, help="Other form of the id: UUID, 24 hex, integer.")
@with_reach
def create_tenant(reach: Reach, name: str, tenant_id: str | None, alias: tuple[str, ...]) -> None:
    """Create the tenant NAME."""
    body: Json = {"id": tenant_id or name, "name": name, "aliases": alias}
    with reach.client() as client:
        made = client.request("POST", TENANTS, body=body)
    reach.show(made, lambda: f"tenant {made['id']} made; its log is {made['log_id']}")


@tenants.command("succeed")
@click.argument("old")
@click.argument("new")
@click.option(
    "--reason", required=True, help="Reason for ending the old log; recorded in the new one."
)
@click.option("--lost-key", is_flag=True, help="The signing key is lost: create a new one.")
@with_reach
def succeed_tenant(reach: Reach, old: str, new: str, reason: str, lost_key: bool) -> None:
    """End the log of the tenant OLD and continue it in a new log, of the tenant NEW.

    For a log that witnesses or mirrors know longer or otherwise, and for one whose key is lost.
    Entry 0 of the new log holds the last head of the old one and the reason. The old tenant stays
    readable. Stop the server before.
    """
    # Imported late: it opens the store, which other commands leave to a server.
    from tallystick.node.succession import succeed

    made = succeed(reach.folder, reach.settings(), old, new, reason=reason, lost_key=lost_key)
    told = {
        "tenant": made.tenant,
        "origin": made.origin,
        "continues": made.continued._asdict(),
        "key": made.secret,
    }
    reach.show(
        told,
        lambda: (
            f"the log of {made.tenant} continues that of {old}, which ended at "
            f"{made.continued.size:,} entries\n"
            f"Admin key of {made.tenant} (shown once): {made.secret}"
        ),
    )


@tenants.command("list")
@with_reach
def list_tenants(reach: Reach) -> None:
    """List the tenants."""
    with reach.client() as client:
        rows = client.request("GET", TENANTS)["tenants"]
    reach.show_table(rows, ("id", "name", "uuid", "hex", "log_id", "created_at"))


@tenants.command("policy")
@click.option(
    "--log",
    type=click.Choice(["public", "private"]),
    help="Who may read checkpoints and hash tiles: everybody, or holders of a read key.",
)
@click.option(
    "--reads",
    type=click.Choice(ACCESS_LOGS),
    help="Which reads become entries: exports only, all, or none without an entry (strict).",
)
@with_reach
def change_policy(reach: Reach, log: str | None, reads: str | None) -> None:
    """Set who may read the public form of a tenant's log, and which reads are recorded."""
    if log is None and reads is None:
        raise click.UsageError("give --log, --reads or both")
    body: Json = {"public_log": None if log is None else log == "public", "access_log": reads}
    told = reach.ask_tenant("PATCH", body=body)
    form = "public" if told["public_log"] else "private"
    reach.show(
        told,
        lambda: f"the log of {told['id']} is {form} now; reads recorded: {told['access_log']}",
    )


@tenants.command("compliance")
@click.option("--until", required=True, help="The end, an RFC 3339 time; later than the last one.")
@click.option("--reason", required=True, help="Why: a rule, a ruling.")
@with_reach
def comply(reach: Reach, until: str, reason: str) -> None:
    """Forbid revision and erasure until a date, for everybody; it is never shortened."""
    told = reach.ask_tenant("POST", "compliance", body={"until": until, "reason": reason})
    reach.show(told, lambda: f"nothing of {told['tenant']} changes until {told['until']}")


for _command in tenant_end.COMMANDS:
    tenants.add_command(_command)


@tenants.command("confirm-clock")
@click.option("--reason", required=True, help="Why the clock was ahead or the log at rest.")
@with_reach
def confirm_clock(reach: Reach, reason: str) -> None:
    """Confirm the clock after a pause of more than a day, so that dates count from it."""
    told = reach.ask_tenant("POST", "clock", body={"reason": reason})
    reach.show(told, lambda: f"the clock is confirmed at {told['recorded_at']}")


@click.group()
def keys() -> None:
    """Create, list and revoke API keys; print a log's verifier key."""


@keys.command("create")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(["read", "write", "purge", "admin"]),
    help="Permission of the key; repeatable.",
)
@click.option("--label", help="Purpose of the key.")
@click.option("--service", is_flag=True, help="A service account: needs no user's token.")
@click.option("--secret", help="Use this existing secret instead of a new one.")
@with_reach
def create_key(
    reach: Reach,
    scopes: tuple[str, ...],
    label: str | None,
    service: bool,
    secret: str | None,
) -> None:
    """Create an API key; its secret is printed once."""
    body: Json = {"scopes": scopes, "label": label, "service": service, "secret": secret}
    made = reach.ask_tenant("POST", "keys", body=body)
    reach.show(made, lambda: f"{made['key']}\n(key {made['id']}, scope {made['scope']})")


@keys.command("list")
@with_reach
def list_keys(reach: Reach) -> None:
    """List API keys, without their secrets."""
    rows = reach.ask_tenant("GET", "keys")["keys"]
    reach.show_table(rows, ("id", "scope", "service", "label", "created_at", "revoked_at"))


@keys.command("revoke")
@click.argument("key_id")
@with_reach
def revoke_key(reach: Reach, key_id: str) -> None:
    """Revoke an API key, immediately and permanently."""
    reach.ask_tenant("DELETE", "keys", key_id)
    reach.show({"revoked": key_id}, lambda: f"key {key_id} revoked")


@keys.command("log")
@with_reach
def log_key(reach: Reach) -> None:
    """Print the key that verifies the checkpoints of a tenant's log."""
    found = reach.ask_tenant("GET", "log-key")
    reach.show(found, lambda: found["verifier_key"])


@keys.command("seal")
@with_reach
def seal_key(reach: Reach) -> None:
    """Put the signing key of a data folder under a passphrase.

    It is asked for, or taken from TALLYSTICK_KEY_PASSPHRASE, where servers and commands take it
    from. Stop the server before. Copies of log.key made earlier stay as they are.
    """
    passphrase = os.environ.get(PASSPHRASE_VARIABLE) or click.prompt(
        "Passphrase", hide_input=True, confirmation_prompt=True
    )
    path = reach.folder / KEY_FILE
    with held(reach.folder):
        read_log_key(path)
        text = path.read_text("utf-8")
        if is_sealed(text):
            raise SettingsError("the signing key already has a passphrase")
        replace_file(path, seal(text, passphrase).encode())
    reach.show({"sealed": True}, lambda: f"{path} is under a passphrase now; do not lose it")


@keys.command("unseal")
@with_reach
def unseal_key(reach: Reach) -> None:
    """Take the signing key of a data folder out of its passphrase. Stop the server before."""
    path = reach.folder / KEY_FILE
    with held(reach.folder):
        text = path.read_text("utf-8") if path.exists() else ""
        if not is_sealed(text):
            raise SettingsError("the signing key has no passphrase")
        passphrase = os.environ.get(PASSPHRASE_VARIABLE) or click.prompt(
            "Passphrase", hide_input=True
        )
        replace_file(path, unseal(text, passphrase).encode())
    reach.show({"sealed": False}, lambda: f"{path} is under no passphrase now")


keys.add_command(rotate_key)
keys.add_command(external_key)


@click.group()
def users() -> None:
    """Create, list, change and delete users."""


_LOGIN = click.option("--login", help="Unique on the server.")
_NAME = click.option("--name", help="Display name.")
_EMAIL = click.option("--email")
_PASSWORD = click.option(
    "--password-stdin", is_flag=True, help="Read a password from standard input."
)


def _password() -> str | None:
    return sys.stdin.readline().rstrip("\n") or None


@users.command("create")
@click.option("--id", "user_id", required=True, help="Id, kept as it is.")
@_LOGIN
@_NAME
@_EMAIL
@click.option("--time-zone", default="UTC", show_default=True, help="Such as Europe/Oslo.")
@click.option("--alias", multiple=True, help="Other form of the id: UUID, 24 hex, integer.")
@_PASSWORD
@with_reach
def create_user(
    reach: Reach,
    user_id: str,
    login: str | None,
    name: str | None,
    email: str | None,
    time_zone: str,
    alias: tuple[str, ...],
    password_stdin: bool,
) -> None:
    """Make a user."""
    body: Json = {
        "id": user_id, "login": login, "name": name, "email": email, "time_zone": time_zone,
        "aliases": alias, "password": _password() if password_stdin else None,
    }  # fmt: skip
    made = reach.ask_tenant("POST", "users", body=body)
    reach.show(made, lambda: f"user {made['id']} made")


@users.command("list")
@with_reach
def list_users(reach: Reach) -> None:
    """List users."""
    rows = reach.ask_tenant("GET", "users")["users"]
    reach.show_table(rows, ("id", "login", "name", "email", "time_zone", "disabled"))


@users.command("change")
@click.argument("user_id")
@_LOGIN
@_NAME
@_EMAIL
@click.option("--time-zone", help="Such as Europe/Oslo.")
@_PASSWORD
@click.option("--disable/--enable", default=None, help="Disable or enable the user.")
@with_reach
def change_user(
    reach: Reach,
    user_id: str,
    login: str | None,
    name: str | None,
    email: str | None,
    time_zone: str | None,
    password_stdin: bool,
    disable: bool | None,
) -> None:
    """Change what is known of a user; a new password or --disable ends all their sessions.

    Pass an empty string to clear a value.
    """
    given = {"login": login, "name": name, "email": email}
    body: Json = {member: text or None for member, text in given.items() if text is not None}
    if time_zone is not None:
        body["time_zone"] = time_zone
    if password_stdin:
        body["password"] = _password()
    if disable is not None:
        body["disabled"] = disable
    if not body:
        raise click.UsageError("name at least one thing to change")
    changed = reach.ask_tenant("PATCH", "users", user_id, body=body)
    reach.show(changed, lambda: f"user {changed['id']} changed")


@users.command("delete")
@click.argument("user_id")
@with_reach
def delete_user(reach: Reach, user_id: str) -> None:
    """Delete a user; the user's events stay in the log."""
    reach.ask_tenant("DELETE", "users", user_id)
    reach.show({"deleted": user_id}, lambda: f"user {user_id} deleted")


@click.group()
def grants() -> None:
    """Give users roles within scopes, list and take them away."""


_USER = click.option("--user", "user_id", required=True, help="Id of the user.")
_SCOPE = click.option("--scope", required=True, help="Such as workspace:4137 or tenant:*.")


@grants.command("add")
@_USER
@_SCOPE
@click.option("--role", required=True, help="Such as Moderator or space_developer.")
@with_reach
def add_grant(reach: Reach, user_id: str, scope: str, role: str) -> None:
    """Give a user a role."""
    body: Json = {"scope": scope, "role": role}
    made = reach.ask_tenant("POST", "users", user_id, "grants", body=body)
    reach.show(made, lambda: f"{user_id} is {role} in {scope}")


@grants.command("list")
@_USER
@with_reach
def list_grants(reach: Reach, user_id: str) -> None:
    """List a user's roles."""
    rows = reach.ask_tenant("GET", "users", user_id, "grants")["grants"]
    reach.show_table(rows, ("scope", "role"))


@grants.command("revoke")
@_USER
@_SCOPE
@click.option("--role", help="Only this role.")
@with_reach
def revoke_grant(reach: Reach, user_id: str, scope: str, role: str | None) -> None:
    """Take a user's roles in a scope away."""
    reach.ask_tenant("DELETE", "users", user_id, "grants", params={"scope": scope, "role": role})
    reach.show({"revoked": scope}, lambda: f"{user_id} has no such role in {scope} any more")


@click.group()
def keysets() -> None:
    """Register keys that verify JWTs of other issuers."""


@keysets.command("save")
@click.argument("keyset_id")
@click.option("--secret", help="Secret of HS256 tokens.")
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM file; repeatable.",
)
@click.option("--issuer", help="The `iss` by which tokens find these keys.")
@click.option("--audience", help="Accept only tokens for this audience.")
@click.option("--user-claim", default="sub", show_default=True)
@click.option("--admin-claim", help="Claim that holds `admin` for administrators.")
@with_reach
def save_keyset(
    reach: Reach,
    keyset_id: str,
    secret: str | None,
    public_keys: tuple[Path, ...],
    issuer: str | None,
    audience: str | None,
    user_claim: str,
    admin_claim: str | None,
) -> None:
    """Register or replace a key set."""
    body: Json = {
        "id": keyset_id, "secret": secret, "public_keys": [p.read_text() for p in public_keys],
        "issuer": issuer, "audience": audience, "user_claim": user_claim,
        "admin_claim": admin_claim,
    }  # fmt: skip
    made = reach.ask_tenant("POST", "keysets", body=body)
    reach.show(made, lambda: f"key set {made['id']} saved")


@keysets.command("list")
@with_reach
def list_keysets(reach: Reach) -> None:
    """List key sets, without their secrets."""
    rows = reach.ask_tenant("GET", "keysets")["keysets"]
    reach.show_table(rows, ("id", "issuer", "audience", "user_claim", "admin_claim"))


@keysets.command("delete")
@click.argument("keyset_id")
@with_reach
def delete_keyset(reach: Reach, keyset_id: str) -> None:
    """Delete a key set; its tokens are refused from now on."""
    reach.ask_tenant("DELETE", "keysets", keyset_id)
    reach.show({"deleted": keyset_id}, lambda: f"key set {keyset_id} deleted")


COMMANDS = (tenants, keys, users, grants, keysets)
