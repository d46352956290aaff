"""videostyle in ComfyUI: the nodes "Paint video" and "Paint frames"."""

from comfy_api.latest import ComfyExtension, io
from typing_extensions import override

from .nodes import PaintFrames, PaintVideo


class VideostyleExtension(ComfyExtension):
    @override
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [PaintVideo, PaintFrames]


async def comfy_entrypoint() -> ComfyExtension:
    return VideostyleExtension()
