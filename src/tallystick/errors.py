"""Every error the product raises, as one tree.

The classes are cut by what the reader should do next, not by where they were raised. HTTP status
and body are not here: each dialect holds its own table from class to answer.

    TallystickError(message, *, hint=None)      code: stable slug, documented, tested
      RequestError              the caller can change the request
        Malformed               not the documented shape                  path
          UnsupportedMediaType  a form or a coding of bodies that is not read here
        InvalidQuery            query text does not parse                 position
          UnsupportedField      known grammar, field not filterable       field, allowed
          UnsupportedOperator                                             operator, allowed
        TooLarge                a named limit was exceeded                limit, actual
        Unauthenticated
          TokenExpired
        Forbidden                                                         role_needed
        NotFound
        MethodNotAllowed                                          allowed
        Conflict                same id, different bytes; or somebody was faster
          PreconditionFailed    what the caller expected is no longer so
          IdempotencyMismatch   same key or id again with another body
          UnderHold             a legal hold keeps it as it is            hold
        RateLimited                                                       retry_after_s
        QuotaExceeded           an allowance is used up
      Pushback                  try again                                 retry_after_s
        StoreBusy
        SequencerFull
        FollowerBehind
        AnswersWaiting          clients take long answers too slowly
        QueryTooSlow            a query was not answered in the time it has
      VerificationError         bytes and signatures disagree
        BadSignature  BadInclusionProof  BadConsistencyProof  ContentMismatch  MalformedNote
        MalformedReceipt
      StoreError                the operator must act
        StoreCorrupt            fatal: the sequencer stops, readiness turns red
        StoreFailed             a write did not take effect (disk full, read-only)
        SchemaMismatch
        StoreLocked             another process has the data folder
      SettingsError
      Unexpected                a defect of ours; the log has the details
"""

from __future__ import annotations


class TallystickError(Exception):
    """Something went wrong in Tallystick."""

    code = "error"

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").split("\n", 1)[0]
        self.hint = hint
        super().__init__(self.message)


class RequestError(TallystickError):
    """The request cannot be served as it is."""

    code = "request"


class Malformed(RequestError):
    """The input is not of the documented shape."""

    code = "malformed"

    def __init__(
        self, message: str | None = None, *, path: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class UnsupportedMediaType(Malformed):
    """The body is in a form that is not read here."""

    code = "unsupported_media_type"


class InvalidQuery(RequestError):
    """The query text does not parse."""

    code = "invalid_query"

    def __init__(
        self, message: str | None = None, *, position: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.position = position


class UnsupportedField(InvalidQuery):
    """The field cannot be used in a filter."""

    code = "unsupported_field"

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str,
        allowed: tuple[str, ...] = (),
        position: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, position=position, hint=hint)
        self.field = field
        self.allowed = allowed


class UnsupportedOperator(InvalidQuery):
    """The operator cannot be used with this field."""

    code = "unsupported_operator"

    def __init__(
        self,
        message: str | None = None,
        *,
        operator: str,
        allowed: tuple[str, ...] = (),
        position: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, position=position, hint=hint)
        self.operator = operator
        self.allowed = allowed


class TooLarge(RequestError):
    """A limit was exceeded."""

    code = "too_large"

    def __init__(
        self,
        message: str | None = None,
        *,
        limit: int,
        actual: int | None = None,
        path: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit
        self.actual = actual
        self.path = path


class Unauthenticated(RequestError):
    """Valid credentials are required."""

    code = "unauthenticated"


class TokenExpired(Unauthenticated):
    """The token has expired."""

    code = "token_expired"


class Forbidden(RequestError):
    """The credentials do not allow this."""

    code = "forbidden"

    def __init__(
        self, message: str | None = None, *, role_needed: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.role_needed = role_needed


class NotFound(RequestError):
    """There is no such thing here."""

    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, but not with this method."""

    code = "method_not_allowed"

    def __init__(
        self,
        message: str | None = None,
        *,
        allowed: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.allowed = allowed


class Conflict(RequestError):
    """The request conflicts with what is stored."""

    code = "conflict"


class PreconditionFailed(Conflict):
    """What the request expected is no longer so."""

    code = "precondition_failed"


class IdempotencyMismatch(Conflict):
    """The same key or event id was used before with another body."""

    code = "idempotency_mismatch"


class UnderHold(Conflict):
    """A legal hold keeps this as it is."""

    code = "under_hold"

    def __init__(
        self, message: str | None = None, *, hold: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.hold = hold


class RateLimited(RequestError):
    """Too many requests."""

    code = "rate_limited"

    def __init__(
        self, message: str | None = None, *, retry_after_s: float = 1.0, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class QuotaExceeded(RequestError):
    """An allowance is used up."""

    code = "quota_exceeded"


class Pushback(TallystickError):
    """The server is busy; try again shortly."""

    code = "pushback"

    def __init__(
        self, message: str | None = None, *, retry_after_s: float = 1.0, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class StoreBusy(Pushback):
    """The store cannot answer just now."""

    code = "store_busy"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_s: float = 1.0,
        hint: str | None = None,
        again: bool = False,
    ) -> None:
        """Say whether to write the same once more, here and now (`again`)."""
        super().__init__(message, retry_after_s=retry_after_s, hint=hint)
        self.again = again


class SequencerFull(Pushback):
    """The queue of events to be written is full."""

    code = "sequencer_full"


class AnswersWaiting(Pushback):
    """Too many long answers are under way."""

    code = "answers_waiting"


class QueryTooSlow(Pushback):
    """The query was not answered in the time it has."""

    code = "query_too_slow"

    def __init__(
        self, message: str | None = None, *, retry_after_s: float = 1.0, hint: str | None = None
    ) -> None:
        hint = hint or "send it again, or narrow it, by a time range for example"
        super().__init__(message, retry_after_s=retry_after_s, hint=hint)


class FollowerBehind(Pushback):
    """An index has not yet caught up with the log."""

    code = "follower_behind"


class VerificationError(TallystickError):
    """Bytes and signatures disagree."""

    code = "verification"


class BadSignature(VerificationError):
    """The signature does not match."""

    code = "bad_signature"


class BadInclusionProof(VerificationError):
    """The inclusion proof does not lead to the signed root."""

    code = "bad_inclusion_proof"


class BadConsistencyProof(VerificationError):
    """The consistency proof does not connect the two roots."""

    code = "bad_consistency_proof"


class ContentMismatch(VerificationError):
    """The content does not match its commitment."""

    code = "content_mismatch"


class MalformedNote(VerificationError):
    """The signed note or checkpoint is malformed."""

    code = "malformed_note"


class MalformedReceipt(VerificationError):
    """The receipt is malformed."""

    code = "malformed_receipt"


class StoreError(TallystickError):
    """The store needs its operator."""

    code = "store"


class StoreCorrupt(StoreError):
    """The store contradicts itself; nothing more is written."""

    code = "store_corrupt"


class StoreFailed(StoreError):
    """The store could not write; nothing was stored."""

    code = "store_failed"


class SchemaMismatch(StoreError):
    """The store has another version than this program."""

    code = "schema_mismatch"


class StoreLocked(StoreError):
    """Another process is using this data folder."""

    code = "store_locked"


class SettingsError(TallystickError):
    """A setting is missing or wrong."""

    code = "settings"


class Unexpected(TallystickError):
    """Something went wrong here; it has been logged."""

    code = "internal"


def for_operator(error: TallystickError) -> str:
    """Return what is wrong and, where it is ours to mend, what the system or a library said.

    An answer says only the former: the latter names files, hosts and users.
    """
    cause = error.__cause__
    ours = isinstance(error, StoreError | StoreBusy | Unexpected)
    if not ours or cause is None or isinstance(cause, TallystickError):
        return error.message
    return f"{error.message}: {str(cause).split(chr(10), 1)[0] or type(cause).__name__}"
