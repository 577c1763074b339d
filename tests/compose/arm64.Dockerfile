# The programs and the unit tests for arm64, made by a cross compiler; the tests run under QEMU's user emulation.
ARG BASE
FROM ${BASE}
RUN dpkg --add-architecture arm64 && apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
	cmake gcc-aarch64-linux-gnu libc6-dev-arm64-cross ninja-build pkg-config protobuf-c-compiler protobuf-compiler python3 \
	qemu-user-static \
	libargon2-dev:arm64 libc6:arm64 libcivetweb-dev:arm64 libcmocka-dev:arm64 libcurl4-openssl-dev:arm64 libhiredis-dev:arm64 \
	libjansson-dev:arm64 libnng-dev:arm64 libopenblas-dev:arm64 libpq-dev:arm64 libprotobuf-c-dev:arm64 libssl-dev:arm64 \
	libstemmer-dev:arm64 zlib1g-dev:arm64 && rm -rf /var/lib/apt/lists/*
