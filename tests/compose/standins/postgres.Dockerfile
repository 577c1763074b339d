# PostgreSQL of Debian under the official image's name: the part of its entrypoint that docker-compose.yml relies on.
ARG BASE
FROM ${BASE}
RUN groupadd -r -g 999 postgres && useradd -r -u 999 -g postgres -d /var/lib/postgresql -s /bin/sh postgres \
	&& apt-get update && mkdir -p /etc/postgresql-common \
	&& echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15 \
	&& rm -rf /var/lib/apt/lists/* && mkdir -p /var/lib/postgresql/data /var/run/postgresql \
	&& chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
COPY compose/standins/postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data
USER 999:999
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
