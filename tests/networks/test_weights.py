"""Weights files: read without executing anything, identified or refused, and fetched whole or not at all."""

import contextlib
import hashlib
import json
import pickle
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from small_networks import picture

from videostyle.errors import UsageError, WeightsError
from videostyle.networks import calibration
from videostyle.networks import weights as loading
from videostyle.networks.backbone import CAFFE_MEAN_BGR, IMAGENET_MEAN, IMAGENET_STD, PREPROCESSING, VGG19_LAYERS, vgg19
from videostyle.networks.download import fetch, torchvision_url
from videostyle.networks.weights import (
    KNOWN,
    TORCHVISION_FIRST_WEIGHTS,
    WeightsFile,
    from_file,
    identify,
    load_backbone,
    read_file,
    weights_are_here,
)

RGB, BGR = "rgb-0-1-imagenet-mean-std", "bgr-0-255-caffe-mean"
FORMATS = (".npz", ".safetensors", ".pth")


@pytest.fixture(autouse=True)
def _own_hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's weights nor his cache of scales are read or written."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def tensors(layers: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """The first ``layers`` convolutions of a random network with VGG-19's true shapes."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for index, inputs, outputs in list(VGG19_LAYERS.values())[:layers]:
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator)
        found[f"features.{index}.weight"] = weight * (2 / (9 * inputs)) ** 0.5
        found[f"features.{index}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return found


def at_original_scale(found: dict[str, torch.Tensor], preprocessing: str) -> dict[str, torch.Tensor]:
    """The same with every layer brought to the original's mean activation, as the original's weights would have it."""
    found = dict(found)
    for name, (index, _, _) in VGG19_LAYERS.items():
        if f"features.{index}.weight" not in found:
            break
        gain = (
            calibration.ORIGINAL_MEANS[name]
            / calibration.mean_activations(
                vgg19({k: v for k, v in found.items() if int(k.split(".")[1]) <= index}, preprocessing=preprocessing)
            )[name]
        )
        for kind in ("weight", "bias"):
            found[f"features.{index}.{kind}"] = found[f"features.{index}.{kind}"] * gain
    return found


def save(path: Path, found: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in found.items()}, **(metadata or {}))
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(found, path, metadata=metadata)
    else:
        torch.save(found, path)
    return path


# --- reading


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_tensors(tmp_path, suffix):
    found = tensors()
    file = read_file(save(tmp_path / f"w{suffix}", found, {"preprocessing": RGB}))
    assert set(file.tensors) == set(found)
    assert all(torch.equal(file.tensors[k], found[k]) for k in found)
    assert file.metadata == ({} if suffix == ".pth" else {"preprocessing": RGB})
    assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("damage", ["garbage", "cut", "empty"])
def test_damaged_files_are_refused_in_one_line(tmp_path, suffix, damage):
    path = save(tmp_path / f"w{suffix}", tensors())
    whole = path.read_bytes()
    path.write_bytes({"garbage": b"\x93 no weights \x00" * 99, "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    with pytest.raises(WeightsError, match=f"^w{suffix} cannot be read as weights: .*; fetch it again$"):
        from_file(path)


class Payload:
    """Pickled, it makes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the control at the end leaves its file object behind
def test_code_in_a_pickle_is_not_executed(tmp_path):
    trap = tmp_path / "executed"
    path = tmp_path / "w.pth"
    torch.save({**tensors(), "code": Payload(str(trap))}, path)
    with pytest.raises(WeightsError, match=r"nothing in it was executed"):
        from_file(path)
    assert not trap.exists()
    torch.load(path, weights_only=False)["code"].close()
    assert trap.exists()  # the payload is a working one


def test_objects_in_an_npz_are_not_unpickled(tmp_path):
    trap = tmp_path / "executed"
    arrays = {k: v.numpy() for k, v in tensors().items()}
    np.savez(tmp_path / "w.npz", **arrays, code=np.array([Payload(str(trap))], dtype=object))
    with pytest.raises(WeightsError, match=r"cannot be read as weights"):
        from_file(tmp_path / "w.npz")
    assert not trap.exists()


def test_a_bare_pickle_and_a_pth_that_is_no_state_dict_are_refused(tmp_path):
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"features.0.weight": "text"}))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError):
        from_file(tmp_path / "bare.pth")
    with pytest.raises(WeightsError, match=r"holds a list, not a state dict"):
        from_file(tmp_path / "list.pth")


def test_other_names_and_absent_files_are_refused(tmp_path):
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"w.onnx is not a weights file: expected .pth, .safetensors or .npz"):
        from_file(tmp_path / "w.onnx")
    with pytest.raises(WeightsError, match=r"no weights file .*absent.pth"):
        from_file(tmp_path / "absent.pth")


# --- shapes


@pytest.mark.parametrize("suffix", FORMATS)
def test_wrong_shapes_are_refused_by_layer(tmp_path, suffix):
    found = tensors()
    found["features.2.weight"] = found["features.2.weight"][:, :32].contiguous()
    path = save(tmp_path / f"w{suffix}", found, {"preprocessing": RGB})
    with pytest.raises(
        WeightsError, match=r"features.2.weight \(conv1_2\) is \(64, 32, 3, 3\), expected \(64, 64, 3, 3\)"
    ):
        from_file(path)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (("features.0.weight",), "holds no features.0.weight"),
        (("features.2.bias",), r"features.2.bias \(conv1_2\) is None"),
        (("features.2.weight", "features.2.bias"), r"features.2.weight \(conv1_2\) is None"),  # a hole in the chain
    ],
)
def test_missing_keys_are_refused(tmp_path, missing, words):
    found = {k: v for k, v in tensors(3).items() if k not in missing}
    with pytest.raises(WeightsError, match=words):
        from_file(save(tmp_path / "w.safetensors", found, {"preprocessing": RGB}))


def test_another_network_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"expected VGG-19"):
        from_file(save(tmp_path / "w.pth", {"conv1.weight": torch.zeros(64, 3, 7, 7)}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    found = tensors()
    found["features.2.bias"][5] = value
    with pytest.raises(WeightsError, match=r"features.2.bias \(conv1_2\) holds values that are not finite"):
        from_file(save(tmp_path / "w.npz", found, {"preprocessing": RGB}))


# --- preprocessing


@pytest.mark.parametrize("preprocessing", PREPROCESSING)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_metadata_tell_the_preprocessing(tmp_path, suffix, preprocessing):
    file = read_file(save(tmp_path / f"w{suffix}", tensors(), {"preprocessing": preprocessing}))
    assert identify(file) == preprocessing


def test_unknown_metadata_are_refused_even_if_the_gain_would_fit(tmp_path):
    found = at_original_scale(tensors(), RGB)
    with pytest.raises(WeightsError, match=r"cannot tell what input.*preprocessing: yuv.*store `preprocessing`"):
        from_file(save(tmp_path / "w.npz", found, {"preprocessing": "yuv"}))


@pytest.mark.parametrize("preprocessing", PREPROCESSING)
def test_the_gain_tells_the_preprocessing(tmp_path, preprocessing):
    path = save(tmp_path / "w.pth", at_original_scale(tensors(), preprocessing))
    assert identify(read_file(path)) == preprocessing
    backbone = from_file(path)
    assert backbone.name == "vgg19-caffe"
    assert {n.scale for n in backbone.references.values()} == {1.0}


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
@pytest.mark.parametrize("preprocessing", PREPROCESSING)
def test_what_cannot_be_told_is_refused(tmp_path, preprocessing, factor):
    found = {k: v * factor for k, v in at_original_scale(tensors(), preprocessing).items()}
    with pytest.raises(WeightsError, match=r"cannot tell what input these weights expect .*not said"):
        from_file(save(tmp_path / "w.pth", found))


def test_torchvisions_own_are_known_by_their_first_values(tmp_path):
    found = tensors()
    found["features.0.weight"].view(-1)[:3] = torch.tensor(TORCHVISION_FIRST_WEIGHTS)
    backbone = from_file(save(tmp_path / "w.safetensors", found))
    assert backbone.name == "vgg19"
    assert identify(read_file(tmp_path / "w.safetensors")) == RGB


@pytest.mark.parametrize("name", ["vgg19", "vgg19-caffe"])
def test_a_known_hash_tells_the_preprocessing_whatever_the_values(tmp_path, name):
    known = KNOWN[name]
    file = WeightsFile(tmp_path / "w.pth", tensors(), {}, known.hash_prefix + "0" * 56)
    assert identify(file) == known.preprocessing
    assert len(known.hash_prefix) == 8


def test_weights_at_another_scale_are_calibrated_and_the_scales_remembered(tmp_path):
    original = at_original_scale(tensors(3), RGB)
    factors = [11.0, 23.0, 41.0]
    found, before = {}, 1.0
    for (index, _, _), f in zip(list(VGG19_LAYERS.values())[:3], factors, strict=True):
        found[f"features.{index}.weight"] = original[f"features.{index}.weight"] * before / f
        found[f"features.{index}.bias"] = original[f"features.{index}.bias"] / f
        before = f
    path = save(tmp_path / "w.safetensors", found, {"preprocessing": RGB})
    backbone = from_file(path)
    assert backbone.name == "vgg19"
    assert [n.scale for n in backbone.references.values()] == pytest.approx(factors, rel=1e-4)
    (cache,) = Path(torch.hub.get_dir()).glob("videostyle/scales-*.json")
    assert backbone.sha256[:16] in cache.name
    cache.write_text(json.dumps({"conv1_1": 5.0}))  # what was remembered is what is used
    assert from_file(path).references["conv1_1"].scale == 5.0
    cache.write_text("{damaged")
    assert [n.scale for n in from_file(path).references.values()] == pytest.approx(factors, rel=1e-4)


@pytest.mark.shared
def test_the_real_weights_in_caffe_form_give_the_same_features(shared, tmp_path):
    """The shared file is the original refolded to torchvision's input: folded back, without metadata, it is known."""
    here = shared / "weights" / "vgg19_features_fp16.npz"
    file = read_file(here)
    found = {k: v.float() for k, v in file.tensors.items()}
    std, mean = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), torch.tensor(IMAGENET_MEAN)
    rgb = found["features.0.weight"] / std / 255
    offset = 255 * mean - torch.tensor(CAFFE_MEAN_BGR).flip(0)
    found["features.0.bias"] = found["features.0.bias"] - torch.einsum("oikl,i->o", rgb, offset)
    found["features.0.weight"] = rgb.flip(1).contiguous()
    caffe = from_file(save(tmp_path / "caffe.pth", found))
    assert caffe.name == "vgg19-caffe"
    assert identify(read_file(tmp_path / "caffe.pth")) == BGR
    layers, x = ["conv1_1", "conv3_1", "conv4_2"], picture(40, 48)
    with torch.no_grad():
        expected, got = from_file(here).features(x, layers), caffe.features(x, layers)
    for name in layers:
        assert (got[name] - expected[name]).norm() < 1e-4 * expected[name].norm()
    tripled = {k: 3 * v for k, v in found.items()}
    with pytest.raises(WeightsError, match=r"cannot tell"):
        from_file(save(tmp_path / "tripled.pth", tripled))


# --- by name


def test_names_that_do_not_fit_the_file(tmp_path):
    path = save(tmp_path / "w.npz", at_original_scale(tensors(), RGB))
    assert load_backbone("vgg19-caffe", path).name == "vgg19-caffe"
    with pytest.raises(WeightsError, match=r"w.npz holds vgg19-caffe, not vgg19; use --backbone vgg19-caffe or auto"):
        load_backbone("vgg19", path)
    with pytest.raises(UsageError, match=r"--backbone compact, which has its own"):
        load_backbone("compact", path)


def test_weights_that_are_not_here():
    with pytest.raises(UsageError, match=r"no backbone is called 'resnet'; there are vgg19, vgg19-caffe, compact"):
        load_backbone("resnet")
    with pytest.raises(WeightsError, match=r"574 MB.*--download.*--weights.*--backbone compact"):
        load_backbone("vgg19")
    with pytest.raises(WeightsError, match=r"--weights vgg19-d01eb7cb.pth"):
        load_backbone("vgg19-caffe", download=True)
    assert not weights_are_here("vgg19")
    assert weights_are_here("compact")


def test_weights_in_the_hub_folder_are_found_by_name():
    path = KNOWN["vgg19-caffe"].path
    path.parent.mkdir(parents=True)
    save(path, at_original_scale(tensors(), BGR))
    assert weights_are_here("vgg19-caffe")
    assert load_backbone("vgg19-caffe").name == "vgg19-caffe"


def test_download_fetches_torchvisions_file_once(monkeypatch):
    found = tensors()
    found["features.0.weight"].view(-1)[:3] = torch.tensor(TORCHVISION_FIRST_WEIGHTS)
    calls = []

    def fetch(url, path, prefix, on_progress):
        calls.append((url, path, prefix))
        path.parent.mkdir(parents=True)
        save(path, found)

    monkeypatch.setattr(loading, "fetch", fetch)
    monkeypatch.setattr(loading, "torchvision_url", lambda: "https://example.org/vgg19-dcbb9e9d.pth")
    for _ in range(2):
        assert load_backbone("vgg19", download=True).name == "vgg19"
    known = KNOWN["vgg19"]
    assert calls == [("https://example.org/vgg19-dcbb9e9d.pth", known.path, "dcbb9e9d")]


def test_torchvisions_address_ends_with_the_known_name():
    assert torchvision_url().endswith("/" + KNOWN["vgg19"].file_name)


# --- fetching

BODY = bytes(range(256)) * 9000  # 2.3 MB, more than two chunks
DIGEST = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``body``; ``ranges``: whether it honours Range; ``cut``: how many bytes come before the line goes dead;
    ``said``: the length that it announces, "" for none; ``shift``: how far its ranges begin from where they should."""

    ranges, cut, said, shift, body = True, None, None, 0, BODY

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.seen.append(wanted)
        if self.path != "/weights.pth":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        body = self.server.body
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        said = str(len(body) - start) if self.server.said is None else self.server.said
        if said:
            self.send_header("Content-Length", said)
        self.end_headers()
        with contextlib.suppress(OSError):  # who was told less hangs up earlier
            self.wfile.write(body[start + (self.server.shift if start else 0) : self.server.cut])

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_fetch_whole_with_progress(server, tmp_path):
    path, seen = tmp_path / "new" / "folder" / "w.pth", []
    fetch(server.url, path, DIGEST[:8], lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["w.pth"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 1


def test_a_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(WeightsError, match=rf"came with sha256 {DIGEST[:16]}\.\.\., expected 00000000"):
        fetch(server.url, tmp_path / "w.pth", "00000000")
    assert list(tmp_path.iterdir()) == []


def test_a_connection_cut_short_is_gone_on_with(server, tmp_path):
    path = tmp_path / "w.pth"
    server.cut = 1_500_000
    with pytest.raises(WeightsError, match=r"run again to go on"):
        fetch(server.url, path, DIGEST[:8])
    assert [p.name for p in tmp_path.iterdir()] == ["w.pth.part"]
    assert (tmp_path / "w.pth.part").read_bytes() == BODY[:1_500_000]
    server.cut, totals = None, []
    fetch(server.url, path, DIGEST[:8], lambda done, total: totals.append(total))
    assert server.seen == [None, "bytes=1500000-"]
    assert path.read_bytes() == BODY
    assert set(totals) == {len(BODY)}


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.ranges = False
    (tmp_path / "w.pth.part").write_bytes(b"an older beginning")
    fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    assert server.seen == ["bytes=18-"]
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_a_complete_part_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(BODY)
    fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_a_part_of_something_else_is_removed(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(b"x" * (len(BODY) + 10))
    with pytest.raises(WeightsError, match=r"the file was removed, try again"):
        fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", ["1000000", "", "many", "-5"])
def test_a_server_that_lies_about_the_length(server, tmp_path, said):
    """Too short, none at all, or no number: what comes is judged by its hash, and what is wrong does not stay."""
    server.said = said
    path = tmp_path / "w.pth"
    try:
        fetch(server.url, path, DIGEST[:8])
    except WeightsError as error:
        assert "\n" not in str(error)
        assert not path.exists()
        server.said = None
        with contextlib.suppress(WeightsError):  # a part of nothing is removed first
            fetch(server.url, path, DIGEST[:8])
        fetch(server.url, path, DIGEST[:8])
    assert path.read_bytes() == BODY


def test_a_server_that_promises_more_than_it_has(server, tmp_path):
    server.said = str(len(BODY) + 1000)
    with pytest.raises(WeightsError, match=rf"connection ended after {len(BODY)} of {len(BODY) + 1000} bytes"):
        fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    fetch(server.url, tmp_path / "w.pth", DIGEST[:8])  # all of it had come
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_a_server_that_goes_on_somewhere_else(server, tmp_path):
    server.cut = 1_000_000
    with pytest.raises(WeightsError):
        fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    server.cut, server.shift = None, 7
    with pytest.raises(WeightsError, match=r"connection ended|the file was removed"):
        fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    assert not (tmp_path / "w.pth").exists()


def test_a_server_with_the_wrong_file(server, tmp_path):
    server.body = b"<html>not found</html>" * 999
    with pytest.raises(WeightsError, match=r"expected .*; the file was removed, try again"):
        fetch(server.url, tmp_path / "w.pth", DIGEST[:8])
    assert list(tmp_path.iterdir()) == []


# --- hostile files


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A file with bytes flipped, a piece cut out, doubled or overwritten."""
    made = bytearray(data)
    at, length = chance.randrange(len(made)), chance.choice((1, 4, 64, 4096))
    if chance.random() < 0.5:  # where formats keep their structure
        at = chance.choice((chance.randrange(min(4096, len(made))), len(made) - 1 - chance.randrange(2048)))
    match chance.randrange(5):
        case 0:
            made[at] ^= 1 << chance.randrange(8)
        case 1:
            del made[at : at + length]
        case 2:
            made[at:at] = made[at : at + length]
        case 3:
            made[at : at + length] = chance.randbytes(length)
        case 4:
            del made[at:]
    return bytes(made)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # libraries warn about what they are given
def test_500_mutated_files_neither_crash_nor_run(tmp_path, monkeypatch):
    """From a fixed seed, in all formats, one in three with a payload: each is refused in one line, or is a network."""
    trap, chance = tmp_path / "executed", random.Random(7)
    originals = []
    for suffix in FORMATS:
        originals.append(save(tmp_path / f"whole{suffix}", tensors(1), {"preprocessing": RGB}))
    torch.save({**tensors(1), "code": Payload(str(trap))}, tmp_path / "trap.pth")
    np.savez(tmp_path / "trap.npz", code=np.array([Payload(str(trap))], dtype=object), **_arrays())
    originals += [tmp_path / "trap.pth", tmp_path / "trap.npz"]
    monkeypatch.setattr(calibration, "calibrated", lambda backbone: backbone)  # not what is tried here
    refused = 0
    for number in range(500):
        original = originals[number % len(originals)]
        path = tmp_path / f"mutated{original.suffix}"
        path.write_bytes(mutated(original.read_bytes(), chance))
        try:
            assert from_file(path).convs
        except WeightsError as error:
            assert "\n" not in str(error)
            refused += 1
        assert not trap.exists()
    assert refused > 200


def _arrays() -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in tensors(1).items()}


def test_not_found_and_unreachable(server, tmp_path):
    with pytest.raises(WeightsError, match=r"w.pth could not be fetched from .*: HTTP Error 404"):
        fetch(server.url + "x", tmp_path / "w.pth", DIGEST[:8])
    with pytest.raises(WeightsError, match=r"could not be fetched"):
        fetch("http://127.0.0.1:1/w.pth", tmp_path / "w.pth", DIGEST[:8])
    assert list(tmp_path.iterdir()) == []
