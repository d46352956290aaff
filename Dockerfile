# The image of a node: videostyle with FFmpeg and Ray, as a user without rights. It needs no network when it runs.
#   docker build -t videostyle:cpu .
#   docker build -t videostyle:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
FROM python:3.12-slim

# Where torch's wheels come from: for CPUs, or for a version of CUDA (the host needs the NVIDIA container toolkit).
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# The rayVersion of KubeRay's manifest: docs/clusters.md.
ARG RAY_VERSION=2.60.0

# libgl1 and libglib2.0-0: OpenCV's; wget: KubeRay's health checks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg libgl1 libglib2.0-0 wget \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision \
    && pip install --no-cache-dir "/src[ray,cloud]" "ray[default]==$RAY_VERSION" \
    && rm -rf /src

# uid 1000 is the one that KubeRay's examples expect; its cache holds networks of styles and VGG-19's weights.
RUN useradd --create-home --uid 1000 painter && mkdir /work && chown painter:painter /work
USER painter
ENV TORCH_HOME=/home/painter/.cache/torch PYTHONUNBUFFERED=1
WORKDIR /work
ENTRYPOINT ["videostyle"]
CMD ["--help"]
