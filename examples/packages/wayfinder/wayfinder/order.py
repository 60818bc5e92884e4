"""Order tasks that depend on each other."""


class CycleError(Exception):
    """Raised when tasks depend on each other in a circle."""


def task_order(needs):
    """Order tasks so that each comes after the tasks it needs."""
    order = []
    waiting = sorted(needs)
    while waiting:
        ready = [t for t in waiting if set(needs[t]) <= set(order)]
        if not ready:
            raise CycleError(waiting[0])
        order.append(ready[0])
        waiting.remove(ready[0])
    return order


def stages(needs):
    """Return for each task the earliest stage it can be done in."""
    stage = {}
    for task in task_order(needs):
        earlier = [stage[other] for other in needs[task]]
        stage[task] = max(earlier, default=0) + 1
    return stage


def finish_times(needs, hours):
    """Return when each task ends if it starts as soon as it can."""
    ends = {}
    for task in task_order(needs):
        start = max((ends[other] for other in needs[task]), default=0)
        ends[task] = start + hours[task]
    return ends


def critical_tasks(needs, hours):
    """Return the tasks that decide the end, the last one first."""
    ends = finish_times(needs, hours)
    chain = [max(sorted(ends), key=ends.get)]
    for _ in needs:
        earlier = sorted(needs[chain[-1]])
        if not earlier:
            break
        chain.append(max(earlier, key=ends.get))
    return chain
