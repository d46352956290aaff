"""When the frames of a clip are shown, from its packets alone: nothing is decoded."""

from fractions import Fraction

import av

from videostyle.errors import MediaError
from videostyle.frames import VideoInfo
from videostyle.media.survey import open_media

MOST_FRAMES = 1_000_000  # ten hours at 25 frames a second; later ones are left out


def frame_times(info: VideoInfo) -> list[Fraction]:
    """Seconds from the clip's beginning of every frame, increasing. Raises MediaError.

    A file whose packets carry no times gives times at its average rate, as many as it says to have frames.
    """
    found = set[Fraction]()
    try:
        with open_media(str(info.path)) as container:
            for packet in container.demux(container.streams[info.stream_index]):
                if packet.pts is not None and packet.size:
                    found.add(packet.pts * info.time_base - info.start_seconds)
                if len(found) >= MOST_FRAMES:
                    break
    except (av.FFmpegError, OSError) as error:
        words = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise MediaError(f"{info.path} cannot be read as a clip ({words}); expected a video file") from None
    if not found and info.frames and info.average_rate:
        return [i / info.average_rate for i in range(min(info.frames, MOST_FRAMES))]
    return sorted(time for time in found if time >= 0)
