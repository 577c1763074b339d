# Redis of Debian under the official image's name.
ARG BASE
FROM ${BASE}
RUN groupadd -r -g 999 redis && useradd -r -u 999 -g redis -d /tmp redis && apt-get update \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server redis-tools \
	&& rm -rf /var/lib/apt/lists/*
USER 999:999
CMD ["redis-server"]
