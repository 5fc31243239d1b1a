"""Answers ``/webhook``, where deliveries can be tried out."""

from typing import Any

from flask import request

from afterwrite.access.roles import Role
from afterwrite.base.times import from_microseconds
from afterwrite.rest.problems import ProblemDetails
from afterwrite.rest.reading import Given
from afterwrite.rest.route import ANY_JSON, Routes, Takes
from afterwrite.rest.schemas import TEXT
from afterwrite.storage.received import Received
from afterwrite.webhooks import signing

_HMAC = "`v1=` and the HMAC-SHA256 in hexadecimal of the timestamp, a dot and the body"
_SINCE_1970 = f"Seconds since 1970, no more than {signing.TOLERANCE_SECONDS} from now"
_SIGNED = {
    signing.ID_HEADER: {"description": "The id of the event, the same at every try", "schema": TEXT},
    signing.TIMESTAMP_HEADER: {"description": _SINCE_1970, "schema": TEXT},
    signing.SIGNATURE_HEADER: {"description": _HMAC, "schema": TEXT},
}

webhooks = Routes("webhooks", 500, 503)


@webhooks.route(
    "POST",
    "/webhook",
    Role.NOBODY,  # signed by its sender
    {200: ("Received", "The signature is good")},
    Takes(ANY_JSON, headers=_SIGNED),
)
def receive_webhook(given: Given) -> dict[str, Any]:
    """Receive a delivery and check its signature, for trying it out."""
    received = given.service.receiver.receive(dict(request.headers), given.raw_body())
    if received.verdict == signing.Verdict.VALID:
        return _shown(received)
    code = received.verdict.upper().replace(" ", "_")
    detail = (
        f"The signature was not accepted ({received.verdict}): sign it with the WEBHOOK_SECRET of this server"
    )
    raise ProblemDetails(401, code, detail, headers=[("WWW-Authenticate", signing.SIGNATURE_HEADER)])


@webhooks.route("GET", "/webhook", Role.READ, {200: ("ReceivedPage", "What came")})
def list_webhooks(given: Given) -> dict[str, Any]:
    """The last hundred that came, newest first."""
    return {"received": [_shown(received) for received in given.service.receiver.newest()]}


def _shown(received: Received) -> dict[str, Any]:
    return {
        "id": str(received.id),
        "received_at": from_microseconds(received.received_at_us).isoformat(),
        "event_id": received.event_id,
        "correlation_id": received.correlation_id,
        "timestamp": received.timestamp,
        "verdict": received.verdict,
        "body": received.body,
    }
