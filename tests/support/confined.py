"""Runs a command with less power: files of a bounded size, or root that cannot ignore file modes."""

import ctypes
import os
import resource
import sys

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1


def main(power: str, *command: str) -> None:
    """Give the power up, then become the command."""
    if power == "file-modes":
        libc = ctypes.CDLL(None, use_errno=True)
        if os.geteuid() == 0 and libc.prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "CAP_DAC_OVERRIDE cannot be dropped")
    else:
        _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(power), hard))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
