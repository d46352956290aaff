"""Counts, durations and amounts of memory in words."""


def counted(number: int, what: str = "frame") -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"


def duration(seconds: float) -> str:
    """Seconds in words: 0.42 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def memory(resident: int, on_device: int) -> str:
    """Peaks of memory, given in bytes, in words."""
    words = f"{resident / 2**30:.1f} GiB of memory"
    return f"{words}, {on_device / 2**30:.1f} GiB on the GPU" if on_device else words
