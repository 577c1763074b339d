#!/bin/bash
# In a container of arm64.Dockerfile, the tree at /src: every program for arm64 by a cross compiler, the unit tests under QEMU.
set -euo pipefail
# What the packages of that architecture say of themselves, and nothing of the machine's own.
export PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig
cmake -S /src -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DSOUK_STATIC_BLAS=ON -DCMAKE_SYSTEM_NAME=Linux \
	-DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_LIBRARY_ARCHITECTURE=aarch64-linux-gnu -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc \
	-DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/qemu-aarch64-static
ninja -C /build
ctest --test-dir /build -L unit -j "$(nproc)" --timeout 300 --output-on-failure
