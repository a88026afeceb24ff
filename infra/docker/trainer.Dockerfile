# check=skip=InvalidDefaultArgInFrom;error=true
# The image that trains: trainer/ with TensorFlow and Keras, without TFX. VARIANT says for which
# machine: tpu (v2, v3, v5e), gpu (CUDA's libraries in it) or cpu.
#
# How TensorFlow reaches a TPU differs from machine to machine: the job sets those variables, not
# the image. Build from the repository's root; the base is pinned as in components.Dockerfile.
#
#   docker build -f infra/docker/trainer.Dockerfile --build-arg VARIANT=tpu \
#     --build-arg PYTHON_DIGEST=sha256:... --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
ARG PYTHON_DIGEST
ARG VARIANT=tpu

# Everything here has a wheel, so nothing is compiled and the small image builds as well.
FROM python:3.11-slim-bookworm@${PYTHON_DIGEST} AS dependencies
ARG VARIANT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_COMPILE=1 \
    PIP_NO_INPUT=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONHASHSEED=0 \
    PATH="/opt/platewise/bin:${PATH}"
WORKDIR /src
RUN python -m venv /opt/platewise
COPY infra/docker/trainer.lock infra/docker/trainer-${VARIANT}.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --no-deps --require-hashes --only-binary=:all: \
        -r trainer.lock -r "trainer-${VARIANT}.lock" \
    && python -m pip check
COPY infra/docker/slim.py ./
RUN python slim.py /opt/platewise

# Simulated screens, classical filters and their benchmark stay out: no training needs them, and
# they need SciPy.
FROM python:3.11-slim-bookworm@${PYTHON_DIGEST} AS package
WORKDIR /src
COPY infra/docker/slim.py ./
COPY trainer /package/lib/python3.11/site-packages/trainer
RUN cd /package/lib/python3.11/site-packages/trainer \
    && rm -r simulation filters denoising_benchmark \
    && python /src/slim.py /package

FROM python:3.11-slim-bookworm@${PYTHON_DIGEST} AS trainer
ARG SOURCE_DATE_EPOCH=0
# A number, so that a cluster can tell that it is not root.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin platewise
COPY --from=dependencies /opt/platewise /opt/platewise
COPY infra/docker/health.py /opt/platewise/
COPY --from=package /package /opt/platewise
ENV PATH="/opt/platewise/bin:${PATH}" \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /home/platewise
# Once a day: training is busy with the machine. Without the variable, libtpu would ask a metadata
# server for minutes where there is no TPU.
HEALTHCHECK --interval=24h --timeout=2m --start-period=1m --retries=2 \
    CMD ["env", "TPU_SKIP_MDS_QUERY=1", "python", "/opt/platewise/health.py", "trainer"]
ENTRYPOINT ["python", "-m", "trainer"]
CMD ["--help"]

ARG VARIANT
ARG PYTHON_DIGEST
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Platewise trainer (${VARIANT})" \
      org.opencontainers.image.description="Trains Platewise's networks, without TFX" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.base.digest="${PYTHON_DIGEST}"
