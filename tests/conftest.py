"""What every test may use: the shared folder where it is there. An empty cache, a random state that is put back."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Test processes share the cores: each has its own part of them, and so have the processes that it starts.
THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
torch.set_num_threads(THREADS)
os.environ["OMP_NUM_THREADS"] = str(THREADS)

# No test gates on time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real weights, clips and paintings; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("VIDEOSTYLE_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the shared folder with real weights and clips (set VIDEOSTYLE_SHARED)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no process that one starts, finds a network that the user has trained or fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        yield


@pytest.fixture(autouse=True)
def _same_random_state() -> Iterator[None]:
    """No test leaks its seed into the next one."""
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.fixture
def cuda() -> torch.device:
    """A CUDA device. A machine that is said to have one fails where none is found; elsewhere the test is skipped."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("VIDEOSTYLE_EXPECT_CUDA") == "1":
        pytest.fail("VIDEOSTYLE_EXPECT_CUDA=1 and torch finds no CUDA device")
    pytest.skip("torch finds no CUDA device here")
