"""Answers ``/webhook``, where deliveries can be tried out."""

from typing import Any

from flask import Blueprint, Response, request

from afterwrite.base.times import from_microseconds
from afterwrite.rest.problems import Problem, json_answer
from afterwrite.rest.reading import raw_body
from afterwrite.storage.received import Received
from afterwrite.webhooks.receiver import Receiver
from afterwrite.webhooks.signing import SIGNATURE_HEADER, Verdict


def add_webhook_routes(blueprint: Blueprint, receiver: Receiver, max_body_bytes: int) -> None:
    """Add ``/webhook``."""

    @blueprint.post("/webhook")
    def receive_webhook() -> Response:
        received = receiver.receive(dict(request.headers), raw_body(request, max_body_bytes))
        if received.verdict == Verdict.VALID:
            return json_answer(_shown(received))
        code = received.verdict.upper().replace(" ", "_")
        detail = f"The signature was not accepted ({received.verdict}): sign it with the WEBHOOK_SECRET of this server"
        raise Problem(401, code, detail, headers=[("WWW-Authenticate", SIGNATURE_HEADER)])

    @blueprint.get("/webhook")
    def list_webhooks() -> Response:
        return json_answer({"received": [_shown(received) for received in receiver.newest()]})


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
