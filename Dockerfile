# vectorfill on top of the official FalkorDB image.
#   docker build -t falkordb-vectorfill .
#   docker build -t falkordb-vectorfill --build-arg FALKORDB=falkordb/falkordb:v4.22.1 .
# The newest engine that the tests run on, without the browser of falkordb/falkordb. Not a tag that
# ends in -alpine, nor one built on RHEL: their C library, musl or an older glibc, is not made to
# load what is built on Debian.
ARG FALKORDB=falkordb/falkordb-server:v4.22.1

# Debian 12: a library runs with the glibc it was built with or a newer one, and the image is Debian
# 13 by now.
FROM rust:1-bookworm AS builder
RUN apt-get update && apt-get install -y --no-install-recommends libclang-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY src src
COPY benches benches
COPY tests tests
COPY testkit testkit
RUN cargo build --locked --release --lib

FROM ${FALKORDB}
COPY --from=builder /src/target/release/libvectorfill.so /var/lib/falkordb/bin/libvectorfill.so
# The image's run.sh starts `redis-server ${REDIS_ARGS} … --loadmodule falkordb.so ${FALKORDB_ARGS}`.
# Whoever sets REDIS_ARGS for the container repeats this; settings may follow the path. A value with
# a space needs a configuration file, and REDIS_ARGS=/path/to/redis.conf.
ENV REDIS_ARGS="--loadmodule /var/lib/falkordb/bin/libvectorfill.so"
