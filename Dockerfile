# The switchboard in a container: dependencies in one layer, the application in another, and neither pip nor a compiler
# in what runs. Build: docker build -t switchboard .   Run: docker run --env-file .env -p 8000:8000 switchboard
FROM python:3.12-slim AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
COPY pyproject.toml README.md ./
RUN uv sync --no-default-groups --no-install-project
COPY . .
RUN uv sync --no-default-groups --no-editable

FROM python:3.12-slim
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
