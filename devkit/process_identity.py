"""Distinguishes a process from a later one with the same pid."""

import subprocess
import sys
from pathlib import Path

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    def lifetime(pid: int) -> str | None:
        """Return a text unique to this process, or None if it does not run."""
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.OpenProcess.restype = wintypes.HANDLE
        kernel32.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
        query_limited_information = 0x1000
        handle = wintypes.HANDLE(kernel32.OpenProcess(query_limited_information, False, pid))
        if not handle:
            return None
        try:
            created, *others = (wintypes.FILETIME() for _ in range(4))
            code = wintypes.DWORD()
            known = kernel32.GetProcessTimes(handle, ctypes.byref(created), *map(ctypes.byref, others))
            still_active = 259
            runs = kernel32.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value == still_active
        finally:
            kernel32.CloseHandle(handle)
        return f"{created.dwHighDateTime}:{created.dwLowDateTime}" if known and runs else None

else:

    def lifetime(pid: int) -> str | None:
        """Return a text unique to this process, or None if it does not run.

        A zombie counts as ended.
        """
        return _from_proc(pid) if Path("/proc/self/stat").exists() else from_ps(pid)

    def from_ps(pid: int) -> str | None:
        """Return the start time from ``ps``, for systems without /proc such as macOS."""
        answer = subprocess.run(
            ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
            capture_output=True,
            encoding="utf-8",
            check=False,
            env={"LC_ALL": "C", "PATH": "/bin:/usr/bin"},
        )
        state, _, started = answer.stdout.strip().partition(" ")
        return started.strip() if started and not state.startswith("Z") else None

    def _from_proc(pid: int) -> str | None:
        try:
            line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = line.rpartition(")")[2].split()  # a program's name may contain spaces and parentheses
        state, started = fields[0], fields[19]
        return None if state in "ZX" else f"{boot}:{started}"
