"""Trusted time: tokens of a time-stamping authority over bytes, as RFC 3161 has them.

A token is kept as the authority sent it (DER), so that other programs check it too. Whether its
authority is to be trusted is for the reader to say, by naming a certificate authority.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

import httpx2
from cryptography import x509

from tallystick.errors import BadSignature, SettingsError, TallystickError

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

TIMEOUT_S: Final = 20.0

_QUERY_TYPE: Final = "application/timestamp-query"
_TOKEN_BYTES_MAX: Final = 256 * 1024
_GRANTED: Final = (0, 1)


class TimestampFailed(TallystickError):
    """The authority gave no token."""

    code = "timestamp_failed"


def require_timestamps() -> None:
    """See that the library for tokens is installed.

    Raises: SettingsError.
    """
    try:
        import rfc3161_client  # noqa: F401  # an extra that most do without
    except ImportError:
        raise SettingsError(
            "timestamps need a library that is not installed",
            hint="pip install 'tallystick[timestamps]'",
        ) from None


def request_token(http: httpx2.Client, url: str, data: bytes) -> bytes:
    """Return a token over `data` by the authority at a URL, as it was sent: a TimeStampResp.

    It is of this data and of this request; who made it is not checked here.
    Raises: TimestampFailed.
    """
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        with http.stream(
            "POST", url, content=request.as_bytes(), headers={"Content-Type": _QUERY_TYPE}
        ) as response:
            token = b""
            for piece in response.iter_bytes():
                token += piece
                if len(token) > _TOKEN_BYTES_MAX:
                    raise TimestampFailed("the authority's answer is too large")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise TimestampFailed(f"the authority cannot be reached: {error}") from error
    if response.status_code != 200:
        raise TimestampFailed(f"the authority returned status {response.status_code}")
    answer = _decoded(token)
    if answer.status not in _GRANTED:
        raise TimestampFailed(f"the authority refused the request: status {answer.status}")
    told = answer.tst_info
    same = told.message_imprint.message == request.message_imprint.message
    if not same or told.nonce != request.nonce:
        raise TimestampFailed("the authority answered another request")
    return token


def verify_token(data: bytes, token: bytes, authorities: bytes) -> int:
    """Return the time, in ms, at which `data` existed by a token of a trusted authority.

    `authorities` are certificates in PEM, the roots first or alone.
    Raises: BadSignature; SettingsError when there is no certificate to trust.
    """
    require_timestamps()
    from rfc3161_client import VerificationError as TokenError
    from rfc3161_client import VerifierBuilder

    try:
        certificates = x509.load_pem_x509_certificates(authorities)
    except ValueError:
        raise SettingsError("the file with the authority holds no certificate in PEM") from None
    builder = VerifierBuilder()
    for certificate in certificates:
        if certificate.subject == certificate.issuer:
            builder = builder.add_root_certificate(certificate)
        else:
            builder = builder.add_intermediate_certificate(certificate)
    try:
        verifier = builder.build()
    except ValueError:
        raise SettingsError("no certificate among those is one of an authority itself") from None
    try:
        answer = _decoded(token)
        verifier.verify_message(answer, data)
    except (TokenError, TimestampFailed, ValueError) as error:
        raise BadSignature(f"the token is invalid: {error}") from error
    at = answer.tst_info.gen_time
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return int(at.timestamp() * 1000)


def _decoded(token: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    try:
        answer = decode_timestamp_response(token)
        if answer.status in _GRANTED:
            _ = answer.tst_info
    except ValueError as error:
        raise TimestampFailed("the authority returned no token") from error
    return answer
