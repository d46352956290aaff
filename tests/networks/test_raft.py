"""RAFT-small: its weights' ways here, sizes, the flow's convention."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from videostyle.errors import MissingLibraryError, WeightsError
from videostyle.networks import raft
from videostyle.networks.raft import RAFT_SMALL, load_raft, raft_url
from videostyle.networks.weights import KnownWeights

CPU = torch.device("cpu")
FORMATS = (".npz", ".safetensors", ".pth")


@pytest.fixture(autouse=True)
def _own_hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """Random weights."""
    from torchvision.models.optical_flow import raft_small

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return dict(raft_small(weights=None, progress=False).state_dict())


def save(path: Path, found: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in found.items()})
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(found, path)
    else:
        torch.save(found, path)
    return path


def frames(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures of noise."""
    made = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    return made[:1], made[1:]


def test_every_format_gives_the_same_flow(tmp_path, tensors):
    found = []
    for suffix in FORMATS:
        path = save(tmp_path / f"w{suffix}", tensors)
        network = load_raft(CPU, path)
        assert network.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        found.append(network(*frames(40, 56)))
    for backward, forward in found[1:]:
        assert torch.equal(backward, found[0][0]) and torch.equal(forward, found[0][1])
    assert not found[0][0].requires_grad


@pytest.mark.parametrize("size", [(1, 1), (129, 150)], ids=str)
def test_sizes(tmp_path, tensors, size):
    for flow in load_raft(CPU, save(tmp_path / "w.pth", tensors))(*frames(*size)):
        assert flow.shape == (1, 2, *size)
        assert torch.isfinite(flow).all()


def test_weights_that_are_not_here():
    with pytest.raises(WeightsError, match=r"RAFT-small's weights \(4 MB\).*--download.*--flow-weights.*--flow dis"):
        load_raft(CPU)
    with pytest.raises(WeightsError, match=r"no weights file .*absent.pth: check the path given with --flow-weights"):
        load_raft(CPU, "absent.pth")


def test_wrong_weights(tmp_path, tensors):
    name = "feature_encoder.convnormrelu.0.weight"
    with pytest.raises(WeightsError, match=rf"holds no {name}"):
        load_raft(CPU, save(tmp_path / "a.pth", {"features.0.weight": torch.zeros(64, 3, 3, 3)}))
    with pytest.raises(WeightsError, match=r"is \(1,\), expected \(32, 3, 7, 7\); is it RAFT-small"):
        load_raft(CPU, save(tmp_path / "b.pth", tensors | {name: torch.zeros(1)}))
    with pytest.raises(WeightsError, match=r"not finite"):
        load_raft(CPU, save(tmp_path / "c.pth", tensors | {name: tensors[name] / 0}))


def test_a_torchvision_without_the_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", None)
    with pytest.raises(MissingLibraryError, match=r"^torchvision has no raft_small here .*--flow dis$"):
        load_raft(CPU)


def test_torchvisions_address_ends_with_the_known_name():
    assert raft_url().endswith("/" + RAFT_SMALL.file_name)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of ``tmp_path/served``."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_download_fetches_the_file_once(tmp_path, tensors, served, monkeypatch):
    published = save(tmp_path / "served" / "w.pth", tensors)
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    known = KnownWeights(f"raft_small-{digest[:8]}.pth", RAFT_SMALL.preprocessing, RAFT_SMALL.origin)
    monkeypatch.setattr(raft, "RAFT_SMALL", known)
    monkeypatch.setattr(raft, "raft_url", lambda: f"{served}/w.pth")
    seen: list[int] = []
    assert load_raft(CPU, download=True, on_progress=lambda done, total: seen.append(done)).sha256 == digest
    assert seen[-1] == published.stat().st_size
    published.unlink()
    assert load_raft(CPU).sha256 == digest
    assert [p.name for p in known.path.parent.iterdir()] == [known.file_name]


def test_a_download_of_something_else_is_refused(tmp_path, tensors, served, monkeypatch):
    save(tmp_path / "served" / "w.pth", tensors)
    monkeypatch.setattr(raft, "raft_url", lambda: f"{served}/w.pth")
    with pytest.raises(WeightsError, match=r"expected 01064c6d\.\.\.; the file was removed"):
        load_raft(CPU, download=True)
    monkeypatch.setattr(raft, "raft_url", lambda: f"{served}/other.pth")
    with pytest.raises(WeightsError, match=r"or use --flow-weights"):
        load_raft(CPU, download=True)


@pytest.mark.shared
def test_real_weights_find_a_shift_with_the_right_sign(shared):
    weights = shared / "weights" / "raft_small_fp16.safetensors"
    if not weights.is_file():
        pytest.skip("the shared folder has no RAFT-small")
    noise = torch.rand(1, 3, 28, 36, generator=torch.Generator().manual_seed(2))
    scene = F.interpolate(noise, (140, 180), mode="bicubic").clamp(0, 1)
    previous, current = scene[..., 6:134, 6:174], scene[..., 8:136, 3:171]
    backward, forward = load_raft(CPU, weights)(current, previous)
    for flow, expected in ((backward, (-3, 2)), (forward, (3, -2))):
        for channel, shift in enumerate(expected):
            assert flow[0, channel, 16:-16, 16:-16].median().item() == pytest.approx(shift, abs=0.4)
