#!/bin/sh
# Makes the secrets that compose.yaml names, each only if it is not there: 32 random bytes, in hexadecimal.
#
#   SECRETS  the folder  (docker/secrets)
set -eu

SECRETS="${SECRETS:-$(dirname "$0")/../secrets}"
# The folder is closed, the files are not: in a container other users read them, to whom the folder does not exist.
mkdir -p "$SECRETS"
chmod 0700 "$SECRETS"
for name in database_password token; do
	if [ ! -e "$SECRETS/$name" ]; then
		od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$SECRETS/$name.partial"
		chmod 0444 "$SECRETS/$name.partial"
		mv "$SECRETS/$name.partial" "$SECRETS/$name"
		echo "made $SECRETS/$name"
	fi
done
