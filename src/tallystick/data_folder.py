"""What is in a data folder, by name."""

from __future__ import annotations

LEDGER_FILE = "ledger.db"
"""The log of record and identity."""

PUBLIC_FILE = "datatrails.db"
"""Public files, once there are any."""

KEY_FILE = "log.key"
"""The signing key."""

BLOBS_FOLDER = "blobs"

INDEX_FOLDER = "index"
"""What followers keep, which can be made again from the log."""

UPLOADS_FOLDER = "uploads"
"""Blobs on their way in; emptied at every start."""

LOCK_FILE = "lock"
SOCKET_FILE = "control.sock"
