# check=skip=InvalidDefaultArgInFrom;error=true
# The image of every pipeline step, and of the Beam workers that a step starts (Dataflow, Flink).
#
# Build from the repository's root. Base images are pinned by digest: an argument without a default,
# because a digest is looked up where there is a registry (see README.md); an empty or unlike one is
# no image reference, so an unpinned build is refused before its first step. (The directive above:
# the builder's other checks stop a build; this one asks for a default, which is not to be had.)
#
#   docker build -f infra/docker/components.Dockerfile \
#     --build-arg PYTHON_DIGEST=sha256:... --build-arg BUILD_DIGEST=sha256:... \
#     --build-arg GO_DIGEST=sha256:... --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
ARG PYTHON_DIGEST
ARG BUILD_DIGEST
ARG GO_DIGEST

# Beam's boot program from its Go module: go.sum has the hashes of all of its sources.
FROM golang:1.26-bookworm@${GO_DIGEST} AS boot
WORKDIR /src
COPY infra/docker/boot/go.mod infra/docker/boot/go.sum ./
ENV CGO_ENABLED=0
RUN --mount=type=cache,target=/go/pkg/mod \
    go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" \
        -o /out/boot github.com/apache/beam/sdks/v2/python/container

FROM python:3.11-bookworm@${BUILD_DIGEST} AS build
# Two builds are the same: no bytecode stamped with a time, no order of a random hash, and in
# compiled code no name of pip's temporary folder.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_COMPILE=1 \
    PIP_NO_INPUT=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONHASHSEED=0 \
    CFLAGS="-g0" \
    CXXFLAGS="-g0" \
    PATH="/opt/platewise/bin:${PATH}"
WORKDIR /src
COPY infra/docker/slim.py ./

# The dependencies: they change seldom, so they are a layer of their own in the image.
FROM build AS dependencies
ARG SOURCE_DATE_EPOCH=0
RUN python -m venv /opt/platewise
COPY requirements.lock infra/docker/dev-only.txt infra/docker/runtime_lock.py ./
# setuptools and wheel first, from the lock: the few packages without a wheel are built with them,
# not with whatever an index has that day.
RUN --mount=type=cache,target=/root/.cache/pip \
    python runtime_lock.py requirements.lock dev-only.txt > runtime.lock \
    && python runtime_lock.py --only setuptools,wheel runtime.lock > build.lock \
    && python -m pip install --no-deps --require-hashes --only-binary=:all: -r build.lock \
    && python -m pip install --no-deps --require-hashes --no-build-isolation --use-pep517 \
        -r runtime.lock
RUN python slim.py /opt/platewise

# Platewise itself, with its loops in C.
FROM build AS package
ARG SOURCE_DATE_EPOCH=0
COPY pyproject.toml README.md LICENSE ./
COPY trainer trainer
COPY components components
COPY pipelines pipelines
RUN --mount=type=bind,from=dependencies,source=/opt/platewise,target=/opt/platewise \
    python -m pip install --no-deps --no-build-isolation --no-cache-dir --no-index \
        --prefix=/package . \
    && test -f /package/lib/python3.11/site-packages/components/plate_example_gen/_kernels*.so \
    && python slim.py /package

FROM python:3.11-slim-bookworm@${PYTHON_DIGEST} AS components
ARG SOURCE_DATE_EPOCH=0
# A number, so that a cluster can tell that it is not root.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin platewise
COPY --from=dependencies /opt/platewise /opt/platewise
COPY --from=boot /out/boot /opt/apache/beam/boot
COPY infra/docker/health.py infra/docker/entrypoint.sh /opt/platewise/
COPY --from=package /package /opt/platewise
# boot would make a virtual environment, from which ours cannot be seen.
ENV PATH="/opt/platewise/bin:${PATH}" \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
USER 10001:10001
WORKDIR /home/platewise
# Once an hour: importing TFX takes half a minute of a core.
HEALTHCHECK --interval=1h --timeout=5m --start-period=1m --retries=2 \
    CMD ["python", "/opt/platewise/health.py", "--executable", "/opt/apache/beam/boot", "trainer", "components", "pipelines"]
# Vertex AI gives a step's own command in place of this.
ENTRYPOINT ["/opt/platewise/entrypoint.sh"]
CMD ["platewise", "--help"]

ARG PYTHON_DIGEST
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Platewise components" \
      org.opencontainers.image.description="Every step of Platewise's pipelines, and the SDK container of its Beam workers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.base.digest="${PYTHON_DIGEST}"
