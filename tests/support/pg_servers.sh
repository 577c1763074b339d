#!/usr/bin/env bash
# PostgreSQL with a streaming standby and PgBouncer in transaction mode in front, for a test of its own:
#	pg_servers.sh start DIR		initdb, pg_basebackup, PgBouncer with deploy/pgbouncer's settings; Unix sockets in DIR
#	pg_servers.sh standby-stop DIR | standby-start DIR
#	pg_servers.sh stop DIR		stops all three
# Ports are names of sockets only: primary 5432, standby 5433, pooler 6432. As root everything runs as user postgres.
set -euo pipefail
what=${1:?start, standby-stop, standby-start or stop} dir=${2:?folder}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n1)
cd /
as=()
if [[ $(id -u) == 0 ]]; then
	as=(runuser -u postgres --)
	[[ $what == start ]] && chown postgres "$dir"
fi
pg() {
	"${as[@]}" env LANG=C.UTF-8 PATH="$bin:/usr/bin:/bin" "$@"
}

case $what in
start)
	pg initdb -D "$dir/primary" -U postgres -E UTF8 --locale=C.UTF-8 --auth=trust -N >"$dir/log" 2>&1
	pg tee -a "$dir/primary/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
fsync = off
max_connections = 40
shared_buffers = 16MB
wal_receiver_status_interval = 1s
hot_standby_feedback = on
CONF
	pg pg_ctl -D "$dir/primary" -w -t 60 -l "$dir/primary.log" -o '-p 5432' start >>"$dir/log" 2>&1
	pg pg_basebackup -h "$dir" -p 5432 -U postgres -D "$dir/standby" -R -X stream -c fast >>"$dir/log" 2>&1
	pg pg_ctl -D "$dir/standby" -w -t 60 -l "$dir/standby.log" -o '-p 5433' start >>"$dir/log" 2>&1
	# The settings that are shipped, with addresses of this folder and two server connections for each user.
	sed -e "s|^souk = .*|* = host=$dir port=5432|" -e 's|^listen_addr = .*|listen_addr =|' \
		-e "s|^unix_socket_dir =.*|unix_socket_dir = $dir|" -e 's|^default_pool_size = .*|default_pool_size = 2|' \
		-e 's|^reserve_pool_size = .*|reserve_pool_size = 0|' -e 's|^auth_type = .*|auth_type = trust|' -e "s|^auth_file = .*|auth_file = $dir/users|" \
		"$root/deploy/pgbouncer/pgbouncer.ini" | pg tee "$dir/pgbouncer.ini" >/dev/null
	echo '"app" ""' | pg tee "$dir/users" >/dev/null
	printf 'pidfile = %s/pgbouncer.pid\nlogfile = %s/pgbouncer.log\n' "$dir" "$dir" | pg tee -a "$dir/pgbouncer.ini" >/dev/null
	pg /usr/sbin/pgbouncer -q -d "$dir/pgbouncer.ini" >>"$dir/log" 2>&1
	;;
standby-stop) pg pg_ctl -D "$dir/standby" -m immediate -w stop >>"$dir/log" 2>&1 ;;
standby-start) pg pg_ctl -D "$dir/standby" -w -t 60 -l "$dir/standby.log" -o '-p 5433' start >>"$dir/log" 2>&1 ;;
stop)
	[[ -s $dir/pgbouncer.pid ]] && kill "$(cat "$dir/pgbouncer.pid")" 2>/dev/null
	for server in standby primary; do
		[[ -d $dir/$server ]] && pg pg_ctl -D "$dir/$server" -m immediate -w stop >/dev/null 2>&1
	done
	rm -rf -- "$dir"
	;;
*) exit 2 ;;
esac
exit 0
