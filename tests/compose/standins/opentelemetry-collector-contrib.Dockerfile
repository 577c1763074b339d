# Takes spans where the collector would, and keeps them for reading; the collector itself has no Debian package.
ARG BASE
FROM ${BASE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-minimal \
	libpython3-stdlib && rm -rf /var/lib/apt/lists/*
COPY support/otlp_receiver.py /otlp_receiver.py
# The shell takes the collector's own --config, which says nothing to this one.
ENTRYPOINT ["/bin/sh", "-c", "exec python3 /otlp_receiver.py --listen 0.0.0.0:4318"]
