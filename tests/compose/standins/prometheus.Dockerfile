# Prometheus of Debian under the official image's name, with the user, the folder and the wget that image brings.
ARG BASE
FROM ${BASE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus wget \
	&& rm -rf /var/lib/apt/lists/* && mkdir -p /prometheus && chown 65534:65534 /prometheus
VOLUME /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
