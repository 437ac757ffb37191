# Injector's two images, each a target, for amd64 and arm64:
#   proxy        the sidecar and the init container: one static binary and the iptables tools, nothing else; 13 MB
#   controller   the four parts of the control plane: Python with the locked dependencies; 393 MB, of which Python and
#                Debian take 148, the Kubernetes client 126, gRPC and protobuf 22 (all unpacked, and shared by all pods of
#                a node)
# `scripts/images` builds both. By hand: `docker build --target proxy -t proxy .`
#
# The optional secret `clients` is a file of shell exports: how this machine's package clients reach their registries
# (proxies, mirrors, certificates). It is there while a step runs and never part of an image.

# --- proxy: the binary
FROM docker.io/library/rust:1-slim-bookworm AS proxy-build
ARG TARGETARCH=amd64
# As in the checkout, for build.rs reads the contract beside the crate.
WORKDIR /src/proxy
COPY .cargo /src/.cargo
COPY injector/api/mesh.proto /src/api/mesh.proto
COPY injector/proxy ./
# The registry's crates and the compiled dependencies outlive a build, so a changed line of ours compiles one crate.
# Cargo judges freshness by modification times, which say nothing across checkouts: `touch` makes it look again.
# +crt-static: without a libc to find at run time the binary works in an image that has none, and starts faster.
RUN --mount=type=cache,id=injector-cargo-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=injector-proxy-target,target=/src/proxy/target,sharing=locked \
    --mount=type=secret,id=clients,target=/run/secrets/clients \
    set -eu; \
    if [ -f /run/secrets/clients ]; then . /run/secrets/clients; fi; \
    case "$TARGETARCH" in \
      amd64) triple=x86_64-unknown-linux-gnu ;; \
      arm64) triple=aarch64-unknown-linux-gnu ;; \
      *) echo "no proxy for architecture $TARGETARCH; there is amd64 and arm64" >&2; exit 1 ;; \
    esac; \
    find build.rs src -name '*.rs' -exec touch {} +; \
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$triple"; \
    cp "target/$triple/release/injector-proxy" /usr/local/bin/injector-proxy

# --- proxy: iptables by both back ends, with just the libraries they load
FROM docker.io/library/debian:bookworm-slim AS iptables
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*
RUN set -eu; \
    mkdir /image; \
    cd /usr/sbin; \
    cp --parents -P -t /image /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi \
      /usr/sbin/iptables-nft* /usr/sbin/ip6tables-nft* /usr/sbin/iptables-legacy* /usr/sbin/ip6tables-legacy*; \
    cp --parents -r -t /image /usr/lib/*-linux-gnu/xtables; \
    ldd xtables-nft-multi xtables-legacy-multi /usr/lib/*-linux-gnu/xtables/*.so \
      | awk '$2 == "=>" { print $3 } $1 ~ "^/" && $1 !~ ":$" { print $1 }' | sort -u \
      | xargs cp --parents -L -t /image

FROM scratch AS proxy
COPY --from=iptables /image /
COPY --from=proxy-build /usr/local/bin/injector-proxy /usr/local/bin/injector-proxy
ENV PATH=/usr/local/bin:/usr/sbin
# The installation's proxy uid; the init container overrides it for itself.
USER 2102:2102
ENTRYPOINT ["/usr/local/bin/injector-proxy"]

# --- controller: the environment that uv.lock names, built where pip and uv may stay behind
FROM docker.io/library/python:3.11-slim-bookworm AS controller-dependencies
ARG UV_VERSION=0.13.9
RUN --mount=type=cache,id=injector-pip,target=/root/.cache/pip,sharing=locked \
    --mount=type=secret,id=clients,target=/run/secrets/clients \
    set -eu; \
    if [ -f /run/secrets/clients ]; then . /run/secrets/clients; fi; \
    pip install --quiet --root-user-action=ignore "uv==$UV_VERSION"
# Compiled here, because in a pod the root file system is read-only and every start would compile again.
ENV UV_PROJECT_ENVIRONMENT=/opt/injector UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY injector/proxy/pyproject.toml injector/proxy/
RUN --mount=type=cache,id=injector-uv,target=/root/.cache/uv,sharing=locked \
    --mount=type=secret,id=clients,target=/run/secrets/clients \
    set -eu; \
    if [ -f /run/secrets/clients ]; then . /run/secrets/clients; fi; \
    uv sync --quiet --frozen --no-dev --no-install-workspace

FROM controller-dependencies AS controller-build
COPY README.md ./
COPY manifests manifests
COPY injector injector
# uv's cache knows a source tree by its pyproject.toml alone: without --reinstall-package, changed code is an old wheel.
RUN --mount=type=cache,id=injector-uv,target=/root/.cache/uv,sharing=locked \
    --mount=type=secret,id=clients,target=/run/secrets/clients \
    set -eu; \
    if [ -f /run/secrets/clients ]; then . /run/secrets/clients; fi; \
    uv sync --quiet --frozen --no-dev --no-editable --reinstall-package injector-mesh; \
    mkdir /own; \
    cp --parents -r -t /own /opt/injector/bin/injector /opt/injector/lib/python3.11/site-packages/injector*

# Two layers: the large one lasts until the lock file changes, and what changes daily is small to push and to load.
FROM docker.io/library/python:3.11-slim-bookworm AS controller
COPY --from=controller-dependencies /opt/injector /opt/injector
COPY --from=controller-build /own /
ENV PATH=/opt/injector/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["injector"]
