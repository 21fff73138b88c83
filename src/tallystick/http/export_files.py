"""The files that a server writes on request: which kinds exist, and what they share."""

from __future__ import annotations

from tallystick.data_folder import EXPORTS_FOLDER
from tallystick.evidence.jobs import bundle_file
from tallystick.exports.jobs.events_file import events_file
from tallystick.exports.jobs.jobs import ExportJobs
from tallystick.node.node import Node
from tallystick.store.export_states import ExportStates


def open_exports(node: Node) -> ExportJobs:
    """Return the export jobs of a node."""
    states: ExportStates | None = None
    if node.settings.database is not None:
        # Imported late: the driver is an extra that a folder does without.
        from tallystick.store.postgres.export_states import PostgresExportStates

        states = PostgresExportStates(node.settings.database, node.name)
    return ExportJobs(
        node.ledger,
        node.identity,
        node.folder / EXPORTS_FOLDER,
        {
            "events": events_file(node.store),
            "bundle": bundle_file(node.store, node.key),
        },
        states=states,
        server=node.name,
        days=node.settings.exports_days,
    )
