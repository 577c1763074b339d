#!/usr/bin/env bash
# A real OpenSearch node for the tests, made of the jars that its makers publish in the Java package registry.
#
#   opensearch.sh start DIR   fetches (kept in DIR/lib), starts a small node, prints its URL when it answers
#   opensearch.sh stop DIR    ends it
#
# Exit 77 means: not run here (no Java, no Maven, or the registry does not answer); the reason is on standard error.
set -euo pipefail

VERSION=2.19.1
NETTY=4.1.118.Final
LOG4J=2.21.0

not_run() {
	echo "opensearch: not run: $*" >&2
	exit 77
}

pom() {
	local a
	echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
	echo '<groupId>souk</groupId><artifactId>node</artifactId><version>1</version><dependencies>'
	for a in "$@"; do
		IFS=: read -r group artifact version <<<"$a"
		echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
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
		not_run "the Java package registry gave no OpenSearch $VERSION: $(tail -n 1 "$pom/log" | cut -c1-200)"
	rm -r "$pom"
}

fetch() {
	local dir=$1 module=$1/modules/transport-netty4 jar
	[ -e "$dir/fetched" ] && return
	command -v java >/dev/null || not_run "there is no java (openjdk-17-jre-headless)"
	command -v mvn >/dev/null || not_run "there is no mvn (maven)"
	mkdir -p "$dir/lib" "$module"
	copy_jars "$dir/lib" "org.opensearch:opensearch:$VERSION" \
		"org.opensearch:opensearch-plugin-classloader:$VERSION" "org.apache.logging.log4j:log4j-core:$LOG4J"
	copy_jars "$module" "org.opensearch.plugin:transport-netty4-client:$VERSION" "io.netty:netty-codec-http:$NETTY" \
		"io.netty:netty-handler:$NETTY"
	for jar in "$module"/*.jar; do # what the node itself has may not come twice
		[ -e "$dir/lib/${jar##*/}" ] && rm "$jar"
	done
	cat >"$module/plugin-descriptor.properties" <<-END
		description=HTTP and transport
		version=$VERSION
		name=transport-netty4
		classname=org.opensearch.transport.Netty4Plugin
		java.version=11
		opensearch.version=$VERSION
		has.native.controller=false
		extended.plugins=
	END
	cat >"$module/plugin-security.policy" <<-'END'
		grant {
			permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
			permission java.net.SocketPermission "*", "accept,connect,listen,resolve";
			permission java.lang.RuntimePermission "*", "setContextClassLoader";
			permission java.util.PropertyPermission "*", "read,write";
		};
	END
	touch "$dir/fetched"
}

configure() {
	local dir=$1
	mkdir -p "$dir/bin" "$dir/config" "$dir/data" "$dir/logs" "$dir/plugins" "$dir/extensions"
	cat >"$dir/config/opensearch.yml" <<-END
		cluster.name: souk-test
		discovery.type: single-node
		network.host: 127.0.0.1
		http.port: 0
		transport.port: 0
		path.data: $dir/data
		path.logs: $dir/logs
		bootstrap.system_call_filter: false
		cluster.routing.allocation.disk.threshold_enabled: false
	END
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

start() {
	local dir=$1 url='' i
	fetch "$dir"
	configure "$dir"
	if [ "$(id -u)" = 0 ]; then
		chown -R 65534:65534 "$dir"
	fi
	(as_other nice java -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.security.manager=allow \
		-Djna.nosys=true -Dio.netty.noUnsafe=true -Dlog4j2.disable.jmx=true -Dlog4j.shutdownHookEnabled=false \
		-Dopensearch.path.home="$dir" -Dopensearch.path.conf="$dir/config" -Djava.io.tmpdir="$dir/data" \
		-cp "$dir/lib/*" org.opensearch.bootstrap.OpenSearch) >"$dir/node.log" 2>&1 &
	echo $! >"$dir/pid"
	for ((i = 0; i < 360; i++)); do
		kill -0 "$(cat "$dir/pid")" 2>/dev/null || not_run "the node ended: $(tail -n 3 "$dir/node.log" | cut -c1-300)"
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

case "${1:-}" in
start | stop) [ $# = 2 ] && "$1" "$2" ;;
*)
	echo "usage: $0 start|stop DIR" >&2
	exit 2
	;;
esac
