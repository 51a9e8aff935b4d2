# An image with one static program and nothing else: no shell, no libraries, no root.
#
#   docker build --tag cloakroom .          or: buildah bud --format docker --tag cloakroom .
#   docker run --read-only --cap-drop all cloakroom
#
# The volume /data contains the sessions and the key that the first start creates. Settings are read from the environment
# and from /etc/cloakroom/cloakroom.toml. By default the service listens on the loopback address of the container;
# deploy/compose.yaml and deploy/kubernetes/ show how to serve other machines.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# The dependencies are built first, with an empty crate. This layer is built again only when they change.
COPY Cargo.toml Cargo.lock ./
COPY benches/Cargo.toml benches/
COPY tests/connect/Cargo.toml tests/connect/
COPY tools/Cargo.toml tools/
RUN mkdir src benches/src tests/connect/src tools/src && touch src/lib.rs tools/src/lib.rs && echo 'fn main() {}' > src/main.rs && cp src/main.rs build.rs \
    && cp src/main.rs benches/src/ && cp src/main.rs tests/connect/src/ && cp src/main.rs tools/src/ \
    && cargo rustc --profile dist --locked --bin cloakroom -- -C target-feature=+crt-static
COPY build.rs ./
COPY proto proto
COPY src src
ARG REVISION=unknown
# Cargo compares times, and the sources may be older than the empty crate.
RUN touch build.rs src/lib.rs src/main.rs \
    && CLOAKROOM_COMMIT="${REVISION}" cargo rustc --profile dist --locked --bin cloakroom -- -C target-feature=+crt-static \
    && mkdir -p /out/etc/cloakroom /out/data \
    && strip -o /out/cloakroom target/dist/cloakroom

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Cloakroom" \
      org.opencontainers.image.description="Session service for web applications, over gRPC" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/cloakroom /cloakroom
COPY --from=build /out/etc/cloakroom /etc/cloakroom
# A new volume gets its owner from this folder.
COPY --from=build --chown=65532:65532 /out/data /data
ENV CLOAKROOM__STORE__EMBEDDED__PATH=/data
# cloakroom.toml is read from the working directory.
WORKDIR /etc/cloakroom
VOLUME /data
USER 65532:65532
EXPOSE 50051
STOPSIGNAL SIGTERM
# It passes too while the store is full or refuses writes: nothing that ends or leaves out an unhealthy container helps then.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/cloakroom", "healthcheck", "--readable"]
ENTRYPOINT ["/cloakroom"]
CMD ["serve"]
