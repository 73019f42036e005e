#!/bin/sh
# What a container does, by its first argument.
#
#   ray-head [OPTIONS]    heads the cluster, without cores: candidates are for workers
#   ray-worker [OPTIONS]  a node that works; options of `ray start`, such as --num-cpus 8
#   serve [OPTIONS]       the service; options of `paretomerge serve`
#   anything else         a command, with its arguments
#
#   PARETOMERGE_RAY_ADDRESS             the head, as host:port                    (ray-head:6379)
#   PARETOMERGE_TOKEN_FILE              a file to read PARETOMERGE_TOKEN from
#   PARETOMERGE_DATABASE_PASSWORD_FILE  a file to read PGPASSWORD from: the URL of the database then holds no secret
set -eu

PARETOMERGE_RAY_ADDRESS="${PARETOMERGE_RAY_ADDRESS:-ray-head:6379}"
# Only recipes and scores travel through the object store; the smallest that Ray takes is 75 MB.
OBJECT_STORE_BYTES=104857600
# Between two attempts of a service to join a cluster that is not there.
REJOIN_S="${PARETOMERGE_REJOIN_S:-2}"

# read_secret VARIABLE FILE: a file that is named must be there, and must hold something.
read_secret() {
	if [ ! -r "$2" ] || [ ! -s "$2" ]; then
		echo "The file for \`$1\` must be readable by user $(id -u) and not empty, but '$2' is not." \
			"Make it with docker/scripts/make-secrets.sh." >&2
		exit 2
	fi
	export "$1=$(cat "$2")"
}

become_node() {
	exec ray start --block --disable-usage-stats --object-store-memory "$OBJECT_STORE_BYTES" "$@"
}

# Ray lets a process into a cluster only by way of a node on the same host: the service brings one without cores.
# When the head is lost, so is the node; another joins the next head. The service goes on answering meanwhile.
stay_in_cluster() {
	unset PARETOMERGE_TOKEN # what runs on a node has no use for it
	while kill -0 "$$" 2>/dev/null; do # as long as the service lives, which has this shell's process id
		(become_node --address "$PARETOMERGE_RAY_ADDRESS" --num-cpus 0 --num-gpus 0) || true
		sleep "$REJOIN_S"
	done
}

if [ -n "${PARETOMERGE_TOKEN_FILE:-}" ]; then
	read_secret PARETOMERGE_TOKEN "$PARETOMERGE_TOKEN_FILE"
fi
if [ -n "${PARETOMERGE_DATABASE_PASSWORD_FILE:-}" ]; then
	read_secret PGPASSWORD "$PARETOMERGE_DATABASE_PASSWORD_FILE"
fi

role="${1:-serve}"
if [ $# -gt 0 ]; then
	shift
fi
case "$role" in
ray-head)
	become_node --head --port "${PARETOMERGE_RAY_ADDRESS##*:}" --num-cpus 0 --num-gpus 0 --include-dashboard false "$@"
	;;
ray-worker)
	become_node --address "$PARETOMERGE_RAY_ADDRESS" "$@"
	;;
serve)
	stay_in_cluster >&2 &
	exec paretomerge serve --ray-address "$PARETOMERGE_RAY_ADDRESS" "$@"
	;;
*)
	exec "$role" "$@"
	;;
esac
