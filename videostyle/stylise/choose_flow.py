"""Which optical flow the settings mean: OpenCV's, or that of a network, which is loaded once for a stylizer."""

from functools import partial

import torch

from videostyle.device import Machine
from videostyle.networks.download import DownloadProgress
from videostyle.networks.raft import Raft, load_raft
from videostyle.settings import Settings
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import FlowEstimator, flow_named, reduced, with_masks
from videostyle.temporal.warp import Warp


def flow_network(settings: Settings, machine: Machine, on_download: DownloadProgress | None = None) -> Raft | None:
    """The network of ``--flow raft``, None for another flow. Raises WeightsError or MissingLibraryError."""
    if settings.flow != "raft":
        return None
    given, download = settings.flow_weights, settings.download
    return load_raft(machine.device, given, download=download, on_progress=on_download)


def flow_network_of(stylizer: Stylizer) -> Raft | None:
    """The same for a stylizer, which keeps it."""
    if stylizer.flow_network is None:
        stylizer.flow_network = flow_network(stylizer.settings, stylizer.machine, stylizer.on_download)
    return stylizer.flow_network


def estimator_named(name: str, network: Raft | None = None) -> FlowEstimator:
    """``dis`` or ``farneback``, or that of the network."""
    return flow_named(name) if network is None else partial(network_flow, network)


def estimator_of(stylizer: Stylizer) -> FlowEstimator:
    """The flow between frames as they are painted, on smaller ones where the settings say so."""
    estimate = estimator_named(stylizer.settings.flow, flow_network_of(stylizer))
    longest = stylizer.settings.flow_size
    return estimate if longest is None else reduced(estimate, longest)


def network_flow(network: Raft, current: torch.Tensor, previous: torch.Tensor) -> Warp:
    """Flow from the current frame to the previous one by a network, with its masks, where the frames are."""
    pair = current.to(network.device), previous.to(network.device)
    return with_masks(*pair, *network(*pair)).to(current.device)
