#!/bin/sh
# Whether a container does its work.
#
#   service     answers at /healthz on port 8008, or on that of PARETOMERGE_HEALTH_PORT
#   ray-head    the head in this container answers Ray's own health check
#   ray-worker  a node of Ray runs here
set -eu

case "${1:-service}" in
service)
	url="http://127.0.0.1:${PARETOMERGE_HEALTH_PORT:-8008}/healthz"
	exec python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$url"
	;;
ray-head)
	# Here, and not by the cluster's name for it: a name may lead to a head only once it is healthy.
	host="$(hostname -i | cut -d ' ' -f 1)"
	address="${PARETOMERGE_RAY_ADDRESS:-ray-head:6379}"
	exec ray health-check --address "$host:${address##*:}"
	;;
ray-worker)
	for name in /proc/[0-9]*/comm; do
		if [ "$(cat "$name" 2>/dev/null)" = raylet ]; then
			exit 0
		fi
	done
	echo "No node of Ray runs here." >&2
	exit 1
	;;
*)
	echo "The role must be service, ray-head or ray-worker, but is '$1'." >&2
	exit 2
	;;
esac
