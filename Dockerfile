# The image of callfeed: `docker build --tag callfeed .`, or any other builder of OCI images.
#
# The last stage is nothing but the root file system that scripts/image makes, so what is in the image can be made and
# tried without a container engine, too: see CONTRIBUTING.md.

# Rust as rust-toolchain.toml pins it, on Debian. Name it by its digest to have the same one each time.
ARG TOOLS=rust:1.95.0-slim-bookworm

# What callfeed is built with.
FROM ${TOOLS} AS tools
# As rust-toolchain.toml says, without the formatter and the linter that it asks for besides.
ENV RUSTUP_TOOLCHAIN=1.95.0
# scripts/release builds here, wherever it runs.
WORKDIR /usr/src
COPY rust-toolchain.toml ./
COPY scripts/common.sh scripts/prerequisites scripts/
RUN scripts/prerequisites build

# The binary. The crates, OpenSSL and librdkafka among them, are built first, and again only when Cargo.lock changes.
FROM tools AS binary
COPY Cargo.toml Cargo.lock ./
COPY scripts/release scripts/
RUN scripts/release dependencies
COPY schemas schemas
COPY src src
RUN scripts/release build

# The root file system: the same binary, and what it needs of Debian.
FROM tools AS root
COPY scripts/image scripts/
RUN scripts/image fetch
COPY --from=binary /usr/src/target/release/callfeed ./
RUN scripts/image rootfs /root-of-image callfeed

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="callfeed" \
      org.opencontainers.image.description="Streams call-tracking accounts into Kafka as Avro events, exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=root /root-of-image/ /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/callfeed"]
CMD ["run", "--config", "/etc/callfeed/callfeed.yaml"]
