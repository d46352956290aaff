"""A picture that was painted over a frame, at the frame's size."""

import torch
import torch.nn.functional as F

from videostyle.errors import UsageError
from videostyle.frames import luma

# Pixels that an editor's crop or export may have taken or added, a side.
OFF_PX = 2


def fitted(picture: torch.Tensor, frame: torch.Tensor, name: str) -> torch.Tensor:
    """``picture`` at the size of ``frame``, (1, 3, H, W) in [0, 1] each; as it is where it has that size.

    One that is a pixel or two larger or smaller is laid where its edges meet the frame's, its border repeated; one of
    another size and the same shape is resized. Raises UsageError, which calls it ``name``.
    """
    height, width = frame.shape[2:]
    check_shape(picture, (width, height), name)
    if picture.shape == frame.shape:
        return picture
    if _is_close(picture, (width, height)):
        return laid(picture, frame)
    return F.interpolate(picture, (height, width), mode="bicubic", antialias=True).clamp(0, 1)


def check_shape(picture: torch.Tensor, size: tuple[int, int], name: str) -> None:
    """Refuse a picture of another shape than a frame of this size, (width, height). Raises UsageError."""
    width, height = size
    own_height, own_width = picture.shape[2:]
    scaled = own_width * height / own_height, own_height * width / own_width
    is_shape = abs(scaled[0] - width) <= OFF_PX or abs(scaled[1] - height) <= OFF_PX
    if not (is_shape or _is_close(picture, size)):
        raise UsageError(
            f"{name} is {own_width}x{own_height}, which has another shape than the frame's {width}x{height}; "
            "give it at the frame's size"
        )


def _is_close(picture: torch.Tensor, size: tuple[int, int]) -> bool:
    """Whether both sides are right but for OFF_PX."""
    return max(abs(picture.shape[3] - size[0]), abs(picture.shape[2] - size[1])) <= OFF_PX


def laid(picture: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
    """``picture``, at most OFF_PX larger or smaller, moved to where it fits the frame's edges best."""
    height, width = frame.shape[2:]
    rows, columns = picture.shape[2], picture.shape[3]
    found = [
        (_likeness(_edges(_at(picture, top, left, height, width)), _edges(frame)), top, left)
        for top in _offsets(height - rows)
        for left in _offsets(width - columns)
    ]
    _, top, left = max(found)
    return _at(picture, top, left, height, width)


def _offsets(missing: int) -> range:
    """Where a picture's first row may lie, if it has so many rows too few (below 0: too many)."""
    return range(min(0, missing), max(0, missing) + 1)


def _at(picture: torch.Tensor, top: int, left: int, height: int, width: int) -> torch.Tensor:
    """``picture`` with its first row at ``top`` and its first column at ``left`` of a frame."""
    rows = (torch.arange(height) - top).clamp(0, picture.shape[2] - 1)
    columns = (torch.arange(width) - left).clamp(0, picture.shape[3] - 1)
    return picture[:, :, rows][..., columns].contiguous()


def _edges(picture: torch.Tensor) -> torch.Tensor:
    """How strong a picture's edges are, (H - 1, W - 1); paint changes colours, and keeps edges."""
    grey = luma(picture)[0, 0]
    return torch.hypot(torch.diff(grey, dim=1)[:-1], torch.diff(grey, dim=0)[:, :-1])


def _likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of two pictures of edges; 0 where one has none."""
    return torch.corrcoef(torch.stack((a.flatten(), b.flatten())))[0, 1].nan_to_num().item()
