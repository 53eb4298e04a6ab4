# One image for all services: the command says which runs, e.g. `serve consent`.
# In earnest name the base by its digest: --build-arg PYTHON=python:3.11-slim-bookworm@sha256:...
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements.lock requirements-run.lock ./
# what builds stays in this stage and is pinned by its hash too; the environment that is taken along has not even pip
RUN python -m venv tools \
    && sed -n '/^setuptools==/,/[^\\]$/p' requirements.lock > tools.lock \
    && tools/bin/pip install --quiet --require-hashes -r tools.lock \
    && tools/bin/pip wheel --quiet --require-hashes --no-deps --no-build-isolation --wheel-dir wheels -r requirements-run.lock
COPY pyproject.toml README.md LICENSE THIRD-PARTY-NOTICES.md ./
COPY firsthand firsthand
COPY services services
COPY shared shared
COPY example example
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . \
    && python -m venv --without-pip /opt/firsthand \
    && tools/bin/pip --python /opt/firsthand/bin/python install --quiet --no-index --no-deps wheels/*.whl


FROM ${PYTHON}
# a number, so that an orchestrator can tell that it is not root
RUN groupadd --gid 10001 firsthand \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin firsthand \
    && install -d -o 10001 -g 10001 -m 700 /data /data/media /data/mail
COPY --from=build /opt/firsthand /opt/firsthand
ENV PATH=/opt/firsthand/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FIRSTHAND_DATA=/data \
    FIRSTHAND_HOST=0.0.0.0 \
    FIRSTHAND_PORT=8080
USER 10001:10001
WORKDIR /data
EXPOSE 8080
# Ready, not merely alive: nothing here restarts what is unhealthy, and what waits for a service waits for its use. What is
# said when it is not ready is kept by the engine (docker inspect).
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/readyz'); a = c.getresponse(); print(a.read().decode()); raise SystemExit(a.status != 200)"]
ENTRYPOINT ["firsthand"]
CMD ["--help"]
