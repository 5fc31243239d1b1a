"""The role of anonymous callers, and the refusal to start an open server that others can reach.

Standard library only.
"""

import ipaddress

from afterwrite.access.roles import GIVEN_ROLES, Role
from afterwrite.base.own_command import own_command
from afterwrite.base.settings import Settings, SettingsError


def anonymous_role(settings: Settings, *, has_keys: bool) -> Role:
    """The role of callers without a key.

    Raises SettingsError if the server has no keys, other machines can reach it, and ALLOW_ANONYMOUS is not set.
    """
    if settings.allow_anonymous:
        return GIVEN_ROLES[settings.allow_anonymous]
    if has_keys:
        return Role.NOBODY
    host = settings.published_host or settings.host
    if not is_loopback(host):
        name = "PUBLISHED_HOST" if settings.published_host else "HOST"
        raise _refusal(
            name,
            f"{name}={host} can be reached from other machines",
            "set HOST=127.0.0.1 (in a container PUBLISHED_HOST, the address that its port is published on)",
        )
    if settings.proxies:
        reached = f"PROXIES={settings.proxies} says that a proxy leads others here"
        raise _refusal("PROXIES", reached, "set PROXIES=0 if there is none")
    if settings.own_proxies and not settings.published_host:
        reached = f"OWN_PROXIES={settings.own_proxies} says that a proxy leads others here"
        raise _refusal("OWN_PROXIES", reached, "set PUBLISHED_HOST=127.0.0.1 if only this machine reaches it")
    return Role.ADMIN


def _refusal(name: str, reached: str, way_out: str) -> SettingsError:
    return SettingsError(
        f"{reached}, and there are no keys, so everybody could change everything: make a key with "
        f"`{own_command('key add NAME --role admin')}`, {way_out}, or set ALLOW_ANONYMOUS=read or write to allow it",
        setting=name,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. A name other than localhost may resolve to anything."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def warning_of(settings: Settings) -> str | None:
    """The warning to log at the start, or None."""
    if not settings.allow_anonymous:
        return None
    may = "read everything" if settings.allow_anonymous == "read" else "read and write"
    return f"ALLOW_ANONYMOUS={settings.allow_anonymous}: every client that reaches this server may {may} without a key"
