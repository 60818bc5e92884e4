"""Times of day as minutes since midnight."""

DAY = 24 * 60


def parse_time(text):
    """Read a time such as 7:45 or 11:05 pm."""
    clock, _, half = text.partition(" ")
    hour, minute = [int(part) for part in clock.split(":")]
    if half:
        hour = hour % 12
        if half == "pm":
            hour += 12
    if hour > 23 or minute > 59:
        raise ValueError("no such time: " + text)
    return hour * 60 + minute


def show_time(minutes):
    hour, minute = divmod(minutes % DAY, 60)
    return f"{hour}:{minute:02d}"


def show_half_day(minutes):
    """Write a time with am or pm."""
    hour, minute = divmod(minutes, 60)
    half = "am" if hour < 12 else "pm"
    return f"{(hour - 1) % 12 + 1}:{minute:02d} {half}"


def minutes_between(start, end):
    """Return the minutes until end, over midnight if need be."""
    if end < start:
        end += DAY
    return end - start


def is_open(now, opens, closes):
    """Tell whether a shop is open; it may close after midnight."""
    if opens <= closes:
        return opens <= now < closes
    return now >= opens or now < closes


def round_to(minutes, step):
    """Round a time to the nearest step, halves up."""
    return (minutes + step // 2) // step * step
