# nginx of Debian under the official image's name, with the curl that image brings.
ARG BASE
FROM ${BASE}
RUN groupadd -r -g 101 nginx && useradd -r -u 101 -g nginx -d /tmp nginx && apt-get update \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nginx-light curl \
	&& rm -rf /var/lib/apt/lists/*
CMD ["nginx", "-g", "daemon off;"]
