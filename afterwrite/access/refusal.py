"""What is raised for a request that is not answered."""

from collections.abc import Sequence

from afterwrite.graphql_http.errors import HttpRefusal


class Refused(HttpRefusal):
    """A request that is not answered; who raises it does not know in which form the refusal leaves."""

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(status, message, code, tuple(headers))
        self.code, self.message = code, message


def unauthenticated(message: str) -> Refused:
    """Who sends the request is not known."""
    return Refused(401, "UNAUTHENTICATED", message, (("WWW-Authenticate", "Bearer"),))


def too_many(code: str, message: str, seconds: int) -> Refused:
    """It came too early."""
    return Refused(429, code, message, (("Retry-After", str(seconds)),))
