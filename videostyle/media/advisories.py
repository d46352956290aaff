"""Faults of FFmpeg that a crafted file can use, and the releases that mended them.

What a version's number tells is an estimate: distributors mend old versions without a new number, builds may lack the
decoder, and there are faults that nobody has published. The table was last brought up to date on CHECKED.
"""

import re
from dataclasses import dataclass

CHECKED = "2026-11-30"


@dataclass(frozen=True)
class Advisory:
    """``mended``: the first release without the fault, of each branch that has one; the newest branch first.
    ``source``: where that is said."""

    number: str
    what: str
    mended: tuple[tuple[int, int, int], ...]
    source: str


ADVISORIES = (
    Advisory(
        "CVE-2026-8461",
        "a MagicYUV stream writes outside its memory",
        ((8, 1, 2), (8, 0, 3), (7, 1, 5)),
        "nvd.nist.gov/vuln/detail/CVE-2026-8461; branches: jellyfin/jellyfin-ffmpeg#730",
    ),
    Advisory(
        "CVE-2026-40962",
        "an encrypted MP4 writes outside its memory",
        ((8, 1, 0),),
        "app.opencve.io/cve/CVE-2026-40962",
    ),
    Advisory(
        "CVE-2025-59734",
        "a SANM animation writes into freed memory",
        ((8, 0, 0),),
        "glfs-book/glfs#328",
    ),
    Advisory(
        "CVE-2025-59733",
        "an OpenEXR picture writes outside its memory",
        ((8, 0, 0), (7, 1, 3)),
        "glfs-book/glfs#328",
    ),
)


def known_faults(version: str) -> list[Advisory]:
    """Those of an FFmpeg that calls itself ``version``; none for a build from git, of which nothing is known."""
    found = re.match(r"n?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        return []
    number = int(found[1]), int(found[2]), int(found[3] or 0)
    return [advisory for advisory in ADVISORIES if not _is_mended(number, advisory)]


def _is_mended(number: tuple[int, int, int], advisory: Advisory) -> bool:
    newest = advisory.mended[0]
    return number >= newest or any(number[:2] == first[:2] and number >= first for first in advisory.mended)
