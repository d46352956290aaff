"""The page for operators and the image: manifests, scripts and commands are what they say they are."""

import re
import shlex
from pathlib import Path

import pytest

from videostyle.cli.options import given_settings
from videostyle.cli.parser import make_parser
from videostyle.settings import MediaSettings, RunSettings, Settings, SpreadSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.M | re.S)


def understood(command: str) -> dict:
    """The arguments of a command of videostyle."""
    _, *words = shlex.split(command.replace("$SLURM_ARRAY_TASK_ID", "7"))
    arguments = make_parser().parse_args(words)
    for cls in (Settings, MediaSettings, RunSettings, SpreadSettings):
        given_settings(arguments, cls)
    return vars(arguments)


def commands_in(text: str) -> list[str]:
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"(?:^|-- )\s*(videostyle .*)$", joined, flags=re.M)]


def test_the_slurm_scripts() -> None:
    array, join = blocks("slurm")
    for script in (array, join):
        assert script.startswith("#!/bin/bash\n#SBATCH ")
        options = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", script, flags=re.M)
        assert len(options) == script.count("#SBATCH")
    assert re.search(r"--array=0-\d+%\d+$", array, flags=re.M)
    (paint,), (joined,) = commands_in(array), commands_in(join)
    one, all_of_them = understood(paint), understood(joined)
    assert (one["number"], one["clip"]) == (7, all_of_them["clips"][0])
    assert one["output"] == all_of_them["output"] and all_of_them["workers"] == "1"
    assert [one["style"]] == all_of_them["styles"]


def test_the_join_waits_for_the_array() -> None:
    """By its number: singleton waits for jobs of the same name alone."""
    scripts = dict(re.findall(r"^`(\w+\.sh)`[^\n]*:\n\n```slurm\n(.*?)^```$", PAGE, flags=re.M | re.S))
    (line,) = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("sbatch")]
    found = re.fullmatch(r"sbatch --dependency=afterany:\$\(sbatch --parsable (\S+)\) (\S+)", line)
    assert found is not None and "--array" in scripts[found[1]] and "--workers 1" in scripts[found[2]]
    assert "#SBATCH --dependency" not in PAGE


def test_the_ray_job() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with Ray: pip install -e '.[ray]'")
    (text,) = blocks("yaml")
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert understood(job["spec"]["entrypoint"])["ray"] == "auto"
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], workers)]
    containers = [pod["containers"][0] for pod in pods]
    assert len({container["image"] for container in containers}) == 1  # one image for all nodes
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"  # the head paints nothing
    for pod, container in zip(pods, containers, strict=True):
        (mount,) = container["volumeMounts"]
        assert mount["mountPath"] == "/shared" and [volume["name"] for volume in pod["volumes"]] == [mount["name"]]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]


def test_the_submitted_command() -> None:
    (submitted,) = [command for block in blocks("bash") for command in commands_in(block)]
    assert understood(submitted)["ray"] == "auto"


def test_the_image() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    words = [word for word, _ in steps]
    assert set(words) <= {"FROM", "ARG", "RUN", "COPY", "USER", "ENV", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert words[0] == "FROM" and dict(steps)["USER"] not in ("root", "0")
    assert words.index("USER") > max(index for index, word in enumerate(words) if word == "RUN")
    assert dict(steps)["ENTRYPOINT"] == '["videostyle"]'
    installed = " ".join(rest for word, rest in steps if word == "RUN")
    assert "/src[ray,cloud]" in installed and "ffmpeg" in installed and "http" not in installed


def test_the_image_has_the_manifests_ray() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ARG RAY_VERSION=(\S+)$", text, flags=re.M)
    assert f'rayVersion: "{version}"' in PAGE and '"ray[default]==$RAY_VERSION"' in text
