# The server as an image: `make image`, or
#
#   docker build --tag majordomo .
#   docker build --tag majordomo:with-model --target with-model .
#
# BASE may be any image made of Debian with Python 3.11 or newer and its venv. A
# pip.conf for a package index of one's own: --secret id=pip.conf,src=pip.conf

ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
RUN python3 -m venv /opt/majordomo
ENV PATH=/opt/majordomo/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock /src/
# Before the sources come, so that a change of them downloads nothing again.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip install --quiet --require-hashes --requirement /src/requirements.lock
COPY . /src
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    pip wheel --quiet --no-deps --wheel-dir /dist /src \
    && pip install --quiet --no-deps /dist/*.whl \
    && pip check

FROM build AS model
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    XDG_CACHE_HOME=/var/cache majordomo model fetch

FROM ${BASE} AS serve
# What llama.cpp is linked with, and slim bases leave out.
RUN apt-get -qq update \
    && apt-get -qq install --yes --no-install-recommends libgomp1 \
    && apt-get -qq clean && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 majordomo \
    && useradd --uid 10001 --gid 10001 --home-dir /nonexistent --no-create-home majordomo \
    && install --directory --owner 10001 --group 10001 /var/cache/majordomo
COPY --from=build /opt/majordomo /opt/majordomo
# The embedded model is looked for below the cache directory: mount a volume at
# /var/cache/majordomo and fetch into it, or build the stage with-model.
ENV PATH=/opt/majordomo/bin:$PATH \
    XDG_CACHE_HOME=/var/cache \
    MAJORDOMO_SERVER__LISTEN=0.0.0.0:50051
# By number: Kubernetes tells from it that this is not root.
USER 10001:10001
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["majordomo", "ready"]
ENTRYPOINT ["majordomo"]
CMD ["serve"]

FROM serve AS with-model
COPY --from=model --chown=10001:10001 /var/cache/majordomo /var/cache/majordomo

# The last stage is what is built by default: without the model.
FROM serve
