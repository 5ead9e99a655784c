# vectorfill on top of the official FalkorDB image.
#   docker build -t falkordb-vectorfill .
#   docker build -t falkordb-vectorfill --build-arg FALKORDB=falkordb/falkordb-server:v4.20.3 .
ARG FALKORDB=falkordb/falkordb:latest

# The C library of the builder must not be newer than that of the base image (Debian 12 or later).
FROM rust:1-bookworm AS builder
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY benches benches
COPY tests tests
RUN cargo build --locked --release --lib

FROM ${FALKORDB}
COPY --from=builder /src/target/release/libvectorfill.so /var/lib/falkordb/bin/libvectorfill.so
# The image's run.sh starts `redis-server ${REDIS_ARGS} … --loadmodule falkordb.so ${FALKORDB_ARGS}`.
# Whoever sets REDIS_ARGS for the container repeats this; settings may follow the path.
ENV REDIS_ARGS="--loadmodule /var/lib/falkordb/bin/libvectorfill.so"
