"""Where painted frames are shown: a window, a virtual camera."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

import cv2
import numpy as np

from videostyle.errors import UsageError
from videostyle.live.request import LiveRequest

TITLE = "videostyle"
ESCAPE, CLOSED = 27, -2


class Viewer(Protocol):
    """Shows pictures; `show` returns the key that was pressed, or ``CLOSED``, or -1."""

    def show(self, picture: np.ndarray) -> int: ...

    def close(self) -> None: ...


class Window:
    """A window of the desktop. Raises UsageError where there is none."""

    def __init__(self) -> None:
        no_desktop = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        if no_desktop:  # OpenCV would end the process
            raise UsageError("there is no desktop for a window; give --output FILE, and --no-window with a camera")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            words = "install opencv-python instead of opencv-python-headless, or give --no-window and --output FILE"
            raise UsageError(f"this OpenCV has no windows; {words}") from None
        self._size: tuple[int, int] | None = None

    def show(self, picture: np.ndarray) -> int:
        """``picture``: (H, W, 3) uint8 RGB."""
        height, width = picture.shape[:2]
        if self._size is None:
            self._size = (width, height)
            cv2.resizeWindow(TITLE, width, height)
        cv2.imshow(TITLE, picture[:, :, ::-1])
        key = cv2.waitKey(1)
        return CLOSED if cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1 else key

    def close(self) -> None:
        cv2.destroyAllWindows()


class VirtualCamera:
    """A camera that other programs see. ``size``: (width, height). Raises UsageError where the system has none."""

    def __init__(self, size: tuple[int, int], rate: float) -> None:
        try:
            module: Any = import_module("pyvirtualcam")
        except ImportError:
            raise UsageError("a virtual camera needs pyvirtualcam; pip install pyvirtualcam") from None
        try:
            self._camera = module.Camera(width=size[0], height=size[1], fps=rate)
        except RuntimeError as error:
            raise UsageError(f"this system has no virtual camera: {error}; see pyvirtualcam's README") from None

    def show(self, picture: np.ndarray) -> int:
        """``picture``: (H, W, 3) uint8 RGB of the camera's size."""
        self._camera.send(np.ascontiguousarray(picture))
        return -1

    def close(self) -> None:
        self._camera.close()


@contextmanager
def viewers(request: LiveRequest, size: tuple[int, int]) -> Iterator[list[Viewer]]:
    """Those that the request asks for, closed at the end. ``size``: (width, height) of the pictures."""
    shown: list[Viewer] = []
    try:
        if request.shows_window:
            shown.append(Window())
        if request.virtual_camera:
            shown.append(VirtualCamera(size, request.live.fps))
        yield shown
    finally:
        for viewer in shown:
            viewer.close()
