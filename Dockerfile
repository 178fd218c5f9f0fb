# syntax=docker/dockerfile:1

# One binary, linked statically but for the C library, on an image that holds that library, CA certificates and nothing
# else: no shell, no package manager.
#
# Why not a fully static binary: names of ExternalName Services are resolved by glibc, which loads the parts of its
# resolver at run time and so cannot be linked statically without losing some of them.
#
#   docker build --tag edgeward .
#   docker run --rm --publish 80:80 --publish 443:443 --volume ./manifests:/etc/edgeward/manifests:ro edgeward

FROM rust:1-bookworm AS build
# cmake builds zlib-ng.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package edgeward \
    && install -m 0755 target/release/edgeward /edgeward \
    && strip --strip-debug /edgeward

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /edgeward /usr/local/bin/edgeward
# By number, so that Kubernetes can see that it is not root. Container runtimes let every user listen on 80 and 443 in a
# network of the container's own (net.ipv4.ip_unprivileged_port_start=0). On the host's network, run as user 0 with all
# capabilities dropped but NET_BIND_SERVICE, or listen on higher ports. A file capability would keep the program from
# starting at all where capabilities are dropped.
USER 65532:65532
# Memory that is not used any more goes back to the system after a tenth of a second, not a whole one: most of what the first
# lists of a large cluster leave behind is gone when it is ready.
ENV MIMALLOC_PURGE_DELAY=100
EXPOSE 80 443 10254
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/edgeward"]
CMD ["serve"]
