"""The one door: whatever asks for an output calls `run`."""

from videostyle.pipeline.picture import run_image
from videostyle.pipeline.remote import with_files
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.pipeline.video import run_copy, run_video


def run(request: Request, callbacks: Callbacks | None = None) -> Result:
    """Carry out a request. Raises VideoStyleError, before the first frame is optimised where that is possible.

    The output appears whole or not at all. Until then the run directory ``OUT.videostyle`` keeps a clip's finished
    frames: however a run ends, the same request resumes there.
    """
    kinds = {"video": run_video, "image": run_image, "copy": run_copy}
    return with_files(request, lambda local: kinds[request.kind](local, callbacks or Callbacks()))
