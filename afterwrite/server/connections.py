"""Limits on connections: their number, file descriptors, and the time and memory for a request head."""

import sys

CONNECTIONS_MAX = 2048
HEAD_SECONDS = 30  # for the head of a request, and between two requests of a connection
HEAD_MAX_BYTES = 64 * 1024  # memory of a connection before its request is known
_OTHER_DESCRIPTORS = 512  # for databases, uploads and workers


def raise_descriptor_limit(streams: int) -> None:
    """Raise the soft limit on file descriptors for this process and its children, as far as the hard limit allows.

    ``streams`` are the connections of event streams, in addition to those of requests.

    Many systems set a soft limit of 1,024 for select(2), which nothing here uses.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + streams + _OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_max(streams: int = 0) -> int:
    """The number of connections, with those of ``streams``, that leaves enough file descriptors for everything else."""
    wanted = CONNECTIONS_MAX + streams
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(soft - _OTHER_DESCRIPTORS, soft // 2))
