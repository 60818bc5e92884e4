"""Memory of the processes around this one, read from `/proc`."""

import os


def used_bytes(spare, trusted=("1",)):
    """Memory of all processes but the trusted ones, less what each of them shares with this one."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name not in trusted:
            total += max(0, anonymous_bytes(name) - spare)
    return total


def anonymous_bytes(pid):
    try:
        with open("/proc/%s/statm" % pid) as statm:
            fields = statm.read().split()
    except (OSError, ValueError):
        return 0
    return (int(fields[1]) - int(fields[2])) * 4096 if len(fields) > 2 else 0
