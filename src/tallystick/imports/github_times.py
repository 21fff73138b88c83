"""When a GitHub webhook happened: which member of its payload tells it.

The repository's times are those of the repository: only a push and what is done to the repository
itself are told by them. An action that takes something away tells no time of its own: the object
in the payload was last changed before. Source: GitHub's documentation of webhook payloads.
"""

from __future__ import annotations

from typing import Any

from tallystick import times
from tallystick.errors import Malformed

Json = dict[str, Any]

# By type and action, else by type: the members to look at, the first that has a time counts.
_TIMES: dict[str, tuple[str, ...]] = {
    "branch_protection_rule": ("rule.updated_at",),
    "check_run": ("check_run.started_at",),
    "check_run.completed": ("check_run.completed_at",),
    "check_run.requested_action": (),
    "check_run.rerequested": (),
    "check_suite": ("check_suite.updated_at", "check_suite.created_at"),
    "check_suite.requested": ("check_suite.created_at",),
    "check_suite.rerequested": (),
    "code_scanning_alert": ("alert.updated_at",),
    "code_scanning_alert.closed_by_user": ("alert.dismissed_at", "alert.updated_at"),
    "code_scanning_alert.created": ("alert.created_at",),
    "code_scanning_alert.fixed": ("alert.fixed_at", "alert.updated_at"),
    "commit_comment": ("comment.created_at",),
    "create": (),
    "delete": (),
    "dependabot_alert": ("alert.updated_at",),
    "dependabot_alert.auto_dismissed": ("alert.auto_dismissed_at", "alert.updated_at"),
    "dependabot_alert.created": ("alert.created_at",),
    "dependabot_alert.dismissed": ("alert.dismissed_at", "alert.updated_at"),
    "dependabot_alert.fixed": ("alert.fixed_at", "alert.updated_at"),
    "deploy_key": ("key.created_at",),
    "deployment": ("deployment.created_at",),
    "deployment_review": ("since",),
    "deployment_status": ("deployment_status.created_at",),
    "discussion": ("discussion.updated_at",),
    "discussion.answered": ("discussion.answer_chosen_at", "discussion.updated_at"),
    "discussion.created": ("discussion.created_at",),
    "discussion_comment": ("comment.updated_at",),
    "discussion_comment.created": ("comment.created_at",),
    "fork": ("forkee.created_at",),
    "issue_comment": ("comment.updated_at",),
    "issue_comment.created": ("comment.created_at",),
    "issues": ("issue.updated_at",),
    "issues.closed": ("issue.closed_at", "issue.updated_at"),
    "issues.opened": ("issue.created_at",),
    "label": (),
    "marketplace_purchase": ("effective_date",),
    "milestone": ("milestone.updated_at",),
    "milestone.closed": ("milestone.closed_at", "milestone.updated_at"),
    "milestone.created": ("milestone.created_at",),
    "organization.member_invited": ("invitation.created_at",),
    "package": ("package.updated_at", "package.created_at"),
    "page_build": ("build.updated_at", "build.created_at"),
    "ping": ("hook.created_at",),
    "project": ("project.updated_at",),
    "project_card": ("project_card.updated_at",),
    "project_column": ("project_column.updated_at",),
    "projects_v2_item": ("projects_v2_item.updated_at",),
    "projects_v2_item.archived": ("projects_v2_item.archived_at", "projects_v2_item.updated_at"),
    "public": ("repository.updated_at",),
    "pull_request": ("pull_request.updated_at",),
    "pull_request.closed": ("pull_request.closed_at", "pull_request.updated_at"),
    "pull_request.opened": ("pull_request.created_at",),
    "pull_request_review": ("review.submitted_at",),
    "pull_request_review.dismissed": ("pull_request.updated_at",),
    "pull_request_review.edited": ("review.updated_at", "pull_request.updated_at"),
    "pull_request_review_comment": ("comment.updated_at",),
    "pull_request_review_comment.created": ("comment.created_at",),
    "pull_request_review_thread": ("updated_at", "pull_request.updated_at"),
    "push": ("repository.pushed_at",),
    "registry_package": ("registry_package.updated_at", "registry_package.created_at"),
    "release": ("release.updated_at",),
    # A release's created_at is the time of the commit that is released.
    "release.created": ("release.published_at",),
    "release.prereleased": ("release.published_at",),
    "release.published": ("release.published_at",),
    "release.released": ("release.published_at",),
    "repository": ("repository.updated_at",),
    "repository.created": ("repository.created_at",),
    "repository_vulnerability_alert": ("alert.created_at",),
    "repository_vulnerability_alert.dismiss": ("alert.dismissed_at",),
    "repository_vulnerability_alert.resolve": ("alert.fixed_at",),
    "secret_scanning_alert": ("alert.updated_at",),
    "secret_scanning_alert.created": ("alert.created_at",),
    "secret_scanning_alert.resolved": ("alert.resolved_at", "alert.updated_at"),
    "security_advisory": ("security_advisory.updated_at",),
    "security_advisory.published": ("security_advisory.published_at",),
    "security_advisory.withdrawn": ("security_advisory.withdrawn_at",),
    "sponsorship.created": ("sponsorship.created_at",),
    "sponsorship": (),
    "star": ("starred_at",),
    "status": ("updated_at", "created_at"),
    "watch": (),
    "workflow_job": ("workflow_job.started_at", "workflow_job.created_at"),
    "workflow_job.completed": ("workflow_job.completed_at",),
    "workflow_job.queued": ("workflow_job.created_at", "workflow_job.started_at"),
    "workflow_run": ("workflow_run.updated_at", "workflow_run.created_at"),
    "workflow_run.requested": ("workflow_run.created_at",),
}
_TAKEN_AWAY = frozenset(("deleted", "removed", "destroy"))
_SECONDS_MAX = 100_000_000_000


def occurred_at(event_type: str, payload: Json) -> str | int | None:
    """Return when a webhook's event happened, as text or in milliseconds; None if nothing tells.

    A type that the table does not have is told by its own object, the one called like it.
    """
    action = payload.get("action")
    members = _TIMES.get(f"{event_type}.{action}")
    if members is None:
        if action in _TAKEN_AWAY:
            return None
        own = (f"{event_type}.updated_at", f"{event_type}.created_at")
        members = _TIMES.get(event_type, own)
    found = (_time(_member(payload, path)) for path in members)
    return next((time for time in found if time is not None), None)


def _member(payload: Json, path: str) -> object:
    value: object = payload
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _time(value: object) -> str | int | None:
    """Return a time in the native API's spelling; pushes tell some in seconds since 1970."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value * 1000 if value < _SECONDS_MAX else value
    if not isinstance(value, str):
        return None
    try:
        times.checked_ms(times.from_rfc3339(value))
    except Malformed:
        return None
    # Members that were never set are told as the beginning of the calendar.
    is_set = not value.startswith(("0001-", "0000-"))
    return value if is_set else None


def audit_time(record: Json) -> str | int:
    """Return when a record of the audit log was written.

    Raises: Malformed when it does not say.
    """
    for member in ("@timestamp", "created_at"):
        time = _time(record.get(member))
        if time is not None:
            return time
    raise Malformed("the audit log record has no @timestamp", path="@timestamp")
