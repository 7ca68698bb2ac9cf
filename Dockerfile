# The server in a container: dependencies in one layer, checked against their hashes, and neither pip, a compiler nor the
# speech synthesiser of the demo in what runs.
#   docker build -t switchboard .
#   docker build --build-arg OBJECTS=s3 -t switchboard .    for RECORDINGS_URL=s3://…
#   docker run --env-file .env -p 8000:8000 switchboard
# With a list of what is inside (SBOM, SPDX) and the provenance: docker buildx build --sbom=true --provenance=true .
# A newer base image: docker buildx imagetools inspect python:3.13-slim-trixie
ARG PYTHON_IMAGE=python:3.13-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv .venv
# deploy/requirements.txt is made by: python deploy/lock.py
COPY deploy/requirements.txt ./
RUN .venv/bin/pip install --require-hashes --only-binary :all: -r requirements.txt
ARG OBJECTS=
COPY deploy/requirements-*.txt ./
RUN [ -z "${OBJECTS}" ] || .venv/bin/pip install --require-hashes --only-binary :all: -r "requirements-${OBJECTS}.txt"
COPY deploy/build-requirements.txt ./
RUN python -m venv builder && builder/bin/pip install --require-hashes --only-binary :all: -r build-requirements.txt
COPY . .
RUN builder/bin/python -m hatchling build -t wheel -d dist \
    && .venv/bin/pip install --no-deps --no-index dist/*.whl \
    && .venv/bin/python -m compileall -q .venv/lib \
    && .venv/bin/pip uninstall --yes pip

FROM ${PYTHON_IMAGE}
RUN useradd --system --create-home --uid 10001 switchboard && mkdir /data && chown switchboard /data
COPY --from=build --chown=root:root /build/.venv /build/.venv
ENV PATH=/build/.venv/bin:$PATH PYTHONUNBUFFERED=1 \
    LEAD_SERVER_HOST=0.0.0.0 LEAD_SERVER_PORT=8000 \
    DATABASE_URL=sqlite:////data/switchboard.db RECORDINGS_DIR=/data/recordings
USER switchboard
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# exec form: SIGTERM reaches the server itself, which drains. Give it longer than DRAIN_TIMEOUT: docker stop -t 60
CMD ["switchboard", "serve"]
