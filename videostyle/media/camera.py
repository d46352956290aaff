"""Recordings from a camera, through FFmpeg's own devices: v4l2 on Linux, avfoundation on macOS, dshow on Windows."""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import MediaError, UsageError
from videostyle.media import publish
from videostyle.media.ffmpeg import Child, find_ffmpeg, run
from videostyle.media.probe import probe

FORMATS = {"Linux": "v4l2", "Darwin": "avfoundation", "Windows": "dshow"}
KNOWN = (*FORMATS.values(), "lavfi", "x11grab", "gdigrab", "decklink", "dv1394", "fbdev", "kmsgrab", "android_camera")
MICROPHONES = ("alsa", "pulse", "avfoundation", "dshow", "jack", "lavfi")
OPENING_SECONDS = 30.0  # a camera may take its time, and a recording may run a little longer than its time
LINUX_DEVICES = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class Camera:
    """A camera as FFmpeg names it (``format``, ``device``) and as its maker does."""

    format: str
    device: str
    name: str = ""

    @property
    def spec(self) -> str:
        """What ``--device-spec`` takes."""
        return f"{self.format}:{self.device}"


def list_cameras() -> list[Camera]:
    """The cameras of this machine; an empty list where FFmpeg has no way to ask."""
    system = platform.system()
    if system == "Linux":
        return linux_cameras(LINUX_DEVICES)
    if system not in FORMATS:
        return []
    form = FORMATS[system]
    device = "" if form == "avfoundation" else "dummy"
    asked = ["-hide_banner", "-f", form, "-list_devices", "true", "-i", device]
    _, _, said = run([find_ffmpeg().path, *asked], seconds=OPENING_SECONDS)  # it always ends with an error
    return avfoundation_cameras(said) if form == "avfoundation" else dshow_cameras(said)


def linux_cameras(folder: Path) -> list[Camera]:
    """One entry per device that gives pictures: a camera's further nodes (index above 0) give metadata."""
    found = []
    for entry in sorted(folder.glob("video*"), key=lambda path: int(path.name.removeprefix("video"))):
        if _line(entry / "index") in ("0", ""):
            found.append(Camera("v4l2", f"/dev/{entry.name}", _line(entry / "name")))
    return found


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def avfoundation_cameras(said: str) -> list[Camera]:
    """From `[AVFoundation ...] [0] FaceTime HD Camera`, in the part on video; screens are no cameras."""
    pictures = said.partition("AVFoundation video devices")[2].partition("AVFoundation audio devices")[0]
    found = re.findall(r"\] \[(\d+)\] (.+)", pictures)
    return [Camera("avfoundation", number, name) for number, name in found if not name.startswith("Capture screen")]


def dshow_cameras(said: str) -> list[Camera]:
    """From `[dshow ...] "Name" (video)`, or before FFmpeg 5 the names in the part on video."""
    names = re.findall(r'"([^"@]+)" \(video\)', said)
    if not names:
        names = re.findall(r'\] +"([^"@]+)"', said.partition("DirectShow video devices")[2].partition("audio")[0])
    return [Camera("dshow", f"video={name}", name) for name in names]


def choose_camera(spec: str | None) -> Camera:
    """The camera that ``spec`` names (FORMAT:DEVICE, or a device of this system's own format), else the first one."""
    if spec is None:
        cameras = list_cameras()
        if not cameras:
            raise UsageError("no camera was found; name one with --device-spec FORMAT:DEVICE, as FFmpeg knows it")
        return cameras[0]
    form, _, device = spec.partition(":")
    if form in KNOWN and device:
        return Camera(form, device)
    own = FORMATS.get(platform.system())
    if own is None or not spec:
        raise UsageError(f"device-spec is {spec!r}; expected FORMAT:DEVICE, e.g. v4l2:/dev/video0")
    return Camera(own, spec)


def choose_microphone(spec: str | None) -> Camera | None:
    """A source of sound, FORMAT:DEVICE; None where none was named."""
    if spec is None:
        return None
    form, _, device = spec.partition(":")
    if form not in MICROPHONES or not device:
        raise UsageError(f"microphone is {spec!r}; expected FORMAT:DEVICE, FORMAT one of {', '.join(MICROPHONES)}")
    return Camera(form, device)


def command(camera: Camera, seconds: float, microphone: Camera | None, part: Path) -> list[str]:
    """FFmpeg's arguments. Every frame is kept with the time at which it came."""
    return [
        *("-hide_banner", "-v", "error", "-y", *inputs(camera, microphone)),
        *("-t", f"{seconds:.6f}", *kept(microphone is not None, part)),
    ]


def inputs(camera: Camera, microphone: Camera | None) -> list[str]:
    """FFmpeg's inputs: the camera, then the microphone where there is one."""
    sound = ["-f", microphone.format, "-i", microphone.device] if microphone else []
    # Its default, 30000/1001 frames a second, is none of what a Mac's cameras offer
    rate = ["-framerate", "30"] if camera.format == "avfoundation" else []
    return ["-f", camera.format, *rate, "-i", camera.device, *sound]


def kept(microphone: bool, part: Path, preset: str = "veryfast") -> list[str]:
    """FFmpeg's options of a recording, with the sound of input 1 where that is a microphone, else of input 0."""
    return [
        *("-map", "0:v:0", "-map", "1:a:0" if microphone else "0:a?"),
        *("-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd,format=yuv420p"),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"),
        *("-fps_mode", "passthrough", "-c:v", "libx264", "-preset", preset, "-crf", "12"),
        *("-c:a", "aac", "-b:a", "192k", "-f", "matroska", f"file:{part}"),
    ]


def record(
    camera: Camera,
    output: str | Path,
    seconds: float,
    *,
    microphone: Camera | None = None,
    overwrite: bool = False,
    on_start: Callable[[], None] | None = None,
) -> Path:
    """Record so many seconds into a Matroska file that appears whole or not at all; Ctrl-C ends the recording early.

    Raises UsageError for the place, MediaError with FFmpeg's words when the camera gives nothing.
    """
    output = Path(output)
    publish.check_place(output, overwrite=overwrite)
    publish.remove_stale(output)
    part = publish.part_name(output)
    try:
        _run(command(camera, seconds, microphone, part), camera, seconds, on_start)
        _check(part, camera)
        publish.publish(part, output, overwrite=overwrite)
    finally:
        publish.remove(part)
    return output


def _run(arguments: list[str], camera: Camera, seconds: float, on_start: Callable[[], None] | None) -> None:
    child = Child([find_ffmpeg().path, *arguments], stdin=True)
    try:
        if on_start:
            on_start()
        try:
            status = child.wait(seconds + OPENING_SECONDS)
        except KeyboardInterrupt:
            status = _stop(child)
        if status != 0:
            reason = "it gave nothing in time" if child.expired else child.summary
            raise MediaError(f"{camera.spec} could not be recorded: {reason}")
    finally:
        child.close()


def _stop(child: Child) -> int:
    """Ask FFmpeg to finish the file."""
    assert child.process.stdin is not None
    try:
        child.process.stdin.write(b"q")
        child.process.stdin.close()
    except OSError:
        pass  # it has ended already
    return child.wait(OPENING_SECONDS)


def _check(part: Path, camera: Camera) -> None:
    try:
        probe(part)
    except (MediaError, UsageError):
        raise MediaError(f"{camera.spec} gave no picture; see `videostyle webcam --list`") from None
