# LeukoSR with PyTorch for the CPU. With CUDA (run it with --gpus all): docker build --build-arg EXTRA_PIP_ARGS= --tag leukosr:cuda .
FROM python:3.12-slim-bookworm
ARG EXTRA_PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

# a run names its commit; the versions are those of the distribution's release
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory /project

WORKDIR /opt/leukosr
COPY requirements.in requirements.txt requirements-s3.txt ./
# the argument is several words, or none
# hadolint ignore=SC2086
RUN pip install --no-cache-dir --requirement requirements.in --requirement requirements-s3.txt \
    --constraint requirements.txt ${EXTRA_PIP_ARGS}
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && useradd --create-home --uid 1000 leukosr

# the clone is mounted here; /tmp is a home that any user may write to
USER 1000
ENV HOME=/tmp MLFLOW_DISABLE_TELEMETRY=true
WORKDIR /project
CMD ["leukosr", "--help"]
