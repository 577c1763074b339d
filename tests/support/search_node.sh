#!/usr/bin/env bash
# A real OpenSearch 2 or Elasticsearch 8 node for the tests, made of the jars that its makers publish in the Java package
# registry.
#
#   search_node.sh start opensearch|elasticsearch DIR   fetches (kept in DIR), starts a small node, prints its URL
#   search_node.sh stop DIR                             ends it
#
# Exit 77 means: not run here (no Java, no Maven, or the registry does not answer); the reason is on standard error.
set -euo pipefail

not_run() {
	echo "${kind:-search node}: not run: $*" >&2
	exit 77
}

about() { # what differs between the two
	kind=$1
	case $kind in
	opensearch)
		version=2.19.1 netty=4.1.118.Final log4j=2.21.0 main=org.opensearch.bootstrap.OpenSearch prefix=opensearch
		plugin=org.opensearch.transport.Netty4Plugin
		server=(org.opensearch:opensearch:$version org.opensearch:opensearch-plugin-classloader:$version)
		transport=org.opensearch.plugin:transport-netty4-client:$version
		;;
	elasticsearch)
		version=8.3.3 netty=4.1.76.Final log4j=2.17.1 main=org.elasticsearch.bootstrap.Elasticsearch prefix=es
		plugin=org.elasticsearch.transport.netty4.Netty4Plugin
		server=(org.elasticsearch:elasticsearch:$version)
		transport=org.elasticsearch.plugin:transport-netty4:$version
		;;
	*) usage ;;
	esac
}

pom() {
	local a
	echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
	echo '<groupId>souk</groupId><artifactId>node</artifactId><version>1</version><dependencies>'
	for a in "$@"; do
		IFS=: read -r group artifact version_ <<<"$a"
		echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version_</version></dependency>"
	done
	echo '</dependencies></project>'
}

copy_jars() { # into $1, the artifacts that follow and what they need
	local to=$1 pom
	shift
	pom=$(mktemp -d)
	pom "$@" >"$pom/pom.xml"
	timeout 600 mvn -q -B -f "$pom/pom.xml" dependency:copy-dependencies -DoutputDirectory="$to" \
		-DincludeScope=runtime >"$pom/log" 2>&1 ||
		not_run "the Java package registry gave no $kind $version: $(grep -m1 ERROR "$pom/log" | cut -c1-200)"
	rm -r "$pom"
}

# The node asks this class for a coloured console; without it there is none.
console() {
	local dir=$1 source=$1/source/org/elasticsearch/io/ansi
	command -v javac >/dev/null || not_run "there is no javac (openjdk-17-jdk-headless)"
	mkdir -p "$source" "$dir/lib/tools/ansi-console"
	cat >"$source/AnsiConsoleLoader.java" <<-'END'
		package org.elasticsearch.io.ansi;

		public class AnsiConsoleLoader implements java.util.function.Supplier<Object> {
			public Object get() {
				return null;
			}
		}
	END
	javac -d "$dir/classes" "$source/AnsiConsoleLoader.java"
}

policy() {
	if [ "$kind" = opensearch ]; then
		cat <<-'END'
			grant {
				permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
				permission java.net.SocketPermission "*", "accept,connect,listen,resolve";
				permission java.lang.RuntimePermission "*", "setContextClassLoader";
				permission java.util.PropertyPermission "*", "read,write";
			};
		END
		return
	fi
	cat <<-'END'
		grant codeBase "${codebase.netty-common}" {
			permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
			permission java.net.SocketPermission "*", "accept,connect,listen,resolve";
			permission java.lang.RuntimePermission "setContextClassLoader";
		};
		grant codeBase "${codebase.netty-transport}" {
			permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
			permission java.net.SocketPermission "*", "accept,connect,listen,resolve";
		};
		grant codeBase "${codebase.transport-netty4}" {
			permission java.net.SocketPermission "*", "accept,connect,listen,resolve";
		};
	END
}

fetch() {
	local dir=$1 module=$1/modules/transport-netty4 jar
	[ -e "$dir/fetched" ] && return
	command -v java >/dev/null || not_run "there is no java (openjdk-17-jdk-headless)"
	command -v mvn >/dev/null || not_run "there is no mvn (maven)"
	mkdir -p "$dir/lib" "$dir/classes" "$module"
	copy_jars "$dir/lib" "${server[@]}" "org.apache.logging.log4j:log4j-core:$log4j"
	copy_jars "$module" "$transport" "io.netty:netty-codec-http:$netty" "io.netty:netty-handler:$netty"
	for jar in "$module"/*.jar; do # what the node itself has may not come twice
		[ -e "$dir/lib/${jar##*/}" ] && rm "$jar"
	done
	[ "$kind" = opensearch ] || console "$dir"
	cat >"$module/plugin-descriptor.properties" <<-END
		description=HTTP and transport
		version=$version
		name=transport-netty4
		classname=$plugin
		java.version=11
		$kind.version=$version
		has.native.controller=false
		extended.plugins=
	END
	policy >"$module/plugin-security.policy"
	touch "$dir/fetched"
}

configure() {
	local dir=$1
	mkdir -p "$dir/bin" "$dir/config" "$dir/data" "$dir/logs" "$dir/plugins" "$dir/extensions"
	cat >"$dir/config/$kind.yml" <<-END
		cluster.name: souk-test
		discovery.type: single-node
		network.host: 127.0.0.1
		http.port: 0
		transport.port: 0
		path.data: $dir/data
		path.logs: $dir/logs
		cluster.routing.allocation.disk.threshold_enabled: false
	END
	[ "$kind" = elasticsearch ] || echo 'bootstrap.system_call_filter: false' >>"$dir/config/$kind.yml"
	cat >"$dir/config/log4j2.properties" <<-END
		appender.out.type = Console
		appender.out.name = out
		appender.out.layout.type = PatternLayout
		appender.out.layout.pattern = %level %logger{1}: %m%n
		rootLogger.level = info
		rootLogger.appenderRef.out.ref = out
	END
	: >"$dir/config/jvm.options"
}

as_other() { # the node refuses to run as root
	if [ "$(id -u)" = 0 ]; then
		exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	fi
	exec "$@"
}

text() { # as the node reads it: its length (below 128), then its bytes
	printf "\\x$(printf %02x "${#1}")%s" "$1"
}

# Elasticsearch is told by its standard input, which must stay open: neither daemon nor quiet, no pid file, no password of
# a key store, one setting, the folder of the configuration. OpenSearch reads none of it.
arguments() {
	printf '\0\0\0\0\1'
	text path.home
	printf '\0'
	text "$1"
	text "$1/config"
}

start() {
	local dir url='' i
	mkdir -p "$1"
	dir=$(cd "$1" && pwd)
	((${#dir} < 110)) || not_run "the folder's name is too long"
	fetch "$dir"
	configure "$dir"
	rm -f "$dir/input"
	mkfifo "$dir/input"
	if [ "$(id -u)" = 0 ]; then
		chown -R 65534:65534 "$dir"
	fi
	(LIBFFI_TMPDIR=$dir/data as_other nice java -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		-Djava.security.manager=allow -Djna.nosys=true -Dio.netty.noUnsafe=true -Dlog4j2.disable.jmx=true \
		-Dlog4j.shutdownHookEnabled=false -D$prefix.path.home="$dir" -D$prefix.path.conf="$dir/config" \
		-Djava.io.tmpdir="$dir/data" -cp "$dir/lib/*:$dir/classes" "$main") 0<>"$dir/input" >"$dir/node.log" 2>&1 &
	echo $! >"$dir/pid"
	arguments "$dir" >"$dir/input"
	for ((i = 0; i < 360; i++)); do
		kill -0 "$(cat "$dir/pid")" 2>/dev/null ||
			not_run "the node ended: $(grep -vE '^[[:space:]]+at ' "$dir/node.log" | head -n 3 | cut -c1-300)"
		url=$(sed -n 's/.*HttpServerTransport: publish_address {\([0-9.:]*\)}.*/http:\/\/\1/p' "$dir/node.log" | tail -n 1)
		if [ -n "$url" ] && curl -fs -o /dev/null --max-time 2 "$url/_cluster/health?wait_for_status=yellow&timeout=1s"; then
			echo "$url"
			return
		fi
		sleep 0.5
	done
	stop "$dir"
	not_run "the node did not answer within three minutes"
}

stop() {
	local dir=$1 i
	[ -e "$dir/pid" ] || return 0
	kill "$(cat "$dir/pid")" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$(cat "$dir/pid")" 2>/dev/null || true
	rm -f "$dir/pid"
}

usage() {
	echo "usage: $0 start opensearch|elasticsearch DIR, or $0 stop DIR" >&2
	exit 2
}

case "${1:-}:$#" in
start:3)
	about "$2"
	start "$3"
	;;
stop:2) stop "$2" ;;
*) usage ;;
esac
