"""One-line reasons for RabbitMQ errors, in RabbitMQ's own words where available."""

import traceback

from aio_pika.exceptions import AuthenticationError, ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ConnectionClosed, ProtocolSyntaxError
from pamqp.commands import Connection

_LENGTH = 300
_REFUSED = (AuthenticationError, ProbableAuthenticationError, ChannelAccessRefused)


def words_of(error: BaseException | None) -> str:
    """The reason of an error in one line: RabbitMQ's text or else the error; after a refusal, the next step."""
    if error is None:
        return "no reason given"
    refusal = _refusal_in(error)
    text = error.args[-1] if isinstance(error, (ChannelClosed, ConnectionClosed)) and error.args else error
    said = " ".join((refusal or str(text)).split())[:_LENGTH]
    if not said:
        said = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    if refusal is None and not isinstance(error, _REFUSED):
        return said
    return f"{said.rstrip('.')}: correct AMQP_URL, or the rights of its user in RabbitMQ"


def _refusal_in(error: BaseException) -> str | None:
    """RabbitMQ's text when it refuses a connection.

    aiormq raises an error with the name of the frame but not its content; only the traceback still holds the frame.
    """
    if not isinstance(error, ProtocolSyntaxError):
        return None
    for frame, _line in traceback.walk_tb(error.__traceback__):
        came = frame.f_locals.get("frame")
        if isinstance(came, Connection.Close):
            return came.reply_text
    return None
