"""Every transcript of every dialect, against a real server.

A transcript begins with an empty tenant and the variables that `variables_of` gives it; a dialect
that needs more has its own module for that.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from uuid import uuid4

import pytest

from tallystick import dialects
from tallystick.dialects import transcript
from tallystick.identity import access
from tallystick.identity.access import Scope
from tests.support.live_server import LiveServer

FOLDER = Path(dialects.__file__).parent
READY = ("cloudfoundry", "datatrails", "kvass", "onehub", "orchestrate")
"""Dialects whose transcripts need nothing but the variables."""

TRANSCRIPTS = [
    path for name in READY for path in sorted((FOLDER / name / "transcripts").glob("*.http"))
]


def variables_of(server: LiveServer) -> dict[str, str]:
    """Return the variables of a transcript: keys and tokens of a tenant of its own.

    `key` is an ordinary key and `basic` the same for Basic credentials, `service_key` one of a
    service account. `jwt` is a token of an administrator in the zone of America/Los_Angeles,
    `viewer` one of somebody who is a Viewer of workspace 4137. `company` is the tenant in 24
    hexadecimal digits, `tenant_uuid` its UUID, `admin_key` a key that may do everything.
    """
    tenant = f"transcript-{uuid4().hex[:12]}"
    admin_key = server.create_tenant(tenant)
    key = server.create_key(tenant, (Scope.READ, Scope.WRITE, Scope.PURGE))
    server.create_user(tenant, "481", name="Matthew Anderson", time_zone="America/Los_Angeles")
    server.grant(tenant, "481", "tenant:*", "admin")
    server.create_user(tenant, "482", name="Vera Viewer")
    server.grant(tenant, "482", "workspace:4137", "Viewer")
    return {
        "key": key,
        "basic": b64encode(f"{key}:".encode()).decode(),
        "service_key": server.create_key(tenant, (Scope.READ, Scope.WRITE), service=True),
        "jwt": token_of(server, tenant, "481"),
        "viewer": token_of(server, tenant, "482"),
        "tenant": tenant,
        "admin_key": admin_key,
        "company": server.node.identity.tenant(tenant).hex,
        "tenant_uuid": server.node.identity.tenant(tenant).uuid,
    }


def token_of(server: LiveServer, tenant: str, user_id: str) -> str:
    """Return a token as the token endpoint issues it."""
    user = server.node.identity.user_by_alias(tenant, user_id)
    assert user is not None
    scopes = access.token_scopes(user.grants)
    return server.node.issuer.issue_for_user(user, client="cf", scopes=scopes).access_token


@pytest.mark.parametrize(
    "path", TRANSCRIPTS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)
def test_transcript_holds(server: LiveServer, path: Path) -> None:
    failures = transcript.run_file(path, server.url, variables_of(server))
    assert not failures, "\n\n".join(map(str, failures))


@pytest.mark.parametrize("name", READY)
def test_dialect_has_its_seed_as_a_transcript(name: str) -> None:
    assert (FOLDER / name / "transcripts" / "seed.http").is_file()
