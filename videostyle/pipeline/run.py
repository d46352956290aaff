"""The one door: whatever asks for an output calls `run`."""

from videostyle.pipeline.picture import run_image
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.pipeline.video import run_copy, run_video


def run(request: Request, callbacks: Callbacks | None = None) -> Result:
    """Carry out a request.

    Everything that can be refused is refused before the first frame is optimised; the output appears whole or not at
    all. A clip's finished frames are kept in the run directory ``OUT.videostyle`` until then: however a run ends, the
    same request goes on from there. Raises VideoStyleError.
    """
    kinds = {"video": run_video, "image": run_image, "copy": run_copy}
    return kinds[request.kind](request, callbacks or Callbacks())
