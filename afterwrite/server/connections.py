"""Bounds how many connections a server takes, and what each may hold before its request is known."""

import sys

CONNECTIONS_MAX = 2048
HEAD_SECONDS = 30  # for the head of a request, and between two requests of a connection
HEAD_MAX_BYTES = 64 * 1024  # what a connection may take of memory before its request is known
_OTHER_DESCRIPTORS = 512  # what databases, uploads and workers open beside the connections


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files and sockets as they need, if the system lets them.

    Many systems start programs with a soft limit of 1,024, for the sake of select(2), which nothing here uses.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_max() -> int:
    """How many connections a server may hold open, so that descriptors are left for everything else."""
    if sys.platform == "win32":
        return CONNECTIONS_MAX
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(soft - _OTHER_DESCRIPTORS, soft // 2))
