"""Every error that a user can meet, one line each: what was given, what was expected, what to do."""


class VideoStyleError(Exception):
    """Base of all errors that this package raises on purpose; its text is one line fit for a terminal."""


class UsageError(VideoStyleError):
    """The request cannot be met as it stands (an option, a name or a path); exit status 2."""


class UnknownError(UsageError):
    """What the request names is not there."""


class TooLargeError(UsageError):
    """More bytes than are taken."""


class MediaError(VideoStyleError):
    """A clip or a picture cannot be read or written; carries FFmpeg's own words when it was FFmpeg that failed."""


class NoRoomError(MediaError):
    """The disk is full, or a quota is used up."""


class StalledError(MediaError):
    """FFmpeg did not come to an end in its time and was stopped."""


class WeightsError(VideoStyleError):
    """A network's weights are missing, damaged, of the wrong shape, or of unknown preprocessing."""


class MissingLibraryError(VideoStyleError):
    """A library that this package needs cannot be imported on this machine."""


class DeviceError(VideoStyleError):
    """The device that was asked for is not there, or has too little memory."""


class StoppedError(VideoStyleError):
    """The caller asked for a stop; the finished frames are kept, and the same call goes on from them."""
