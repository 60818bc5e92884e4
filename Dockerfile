# The program with Python, pytest, git and jest: what its commands need on a machine of their own.
#
#   docker build -t train .
#   docker run --rm -it --privileged -v "$PWD/work:/work" train doctor
#
# The embedded sandbox makes namespaces, so the container needs `--privileged`, or `--security-opt seccomp=unconfined
# --security-opt apparmor=unconfined` where the host lets users make them.
FROM rust:1.95-trixie AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin train && strip target/release/train

FROM debian:trixie-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git jest python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/target/release/train /usr/local/bin/train
COPY configs /usr/share/train/configs
COPY checkpoints/base /usr/share/train/base
WORKDIR /work
ENTRYPOINT ["train"]
CMD ["--help"]
