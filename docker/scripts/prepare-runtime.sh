#!/bin/sh
# Makes the user as whom everything runs, the folders at which volumes are mounted, and the names on the PATH.
#
#   ROOT         a folder that stands for /                                 ("")
#   VIRTUAL_ENV  where the project is installed                             (/opt/paretomerge)
#   USER_ID      of user and group; volumes on the host belong to it        (10001)
set -eu

ROOT="${ROOT:-}"
VIRTUAL_ENV="${VIRTUAL_ENV:-/opt/paretomerge}"
USER_ID="${USER_ID:-10001}"

groupadd --prefix "$ROOT/" --gid "$USER_ID" paretomerge
useradd --prefix "$ROOT/" --uid "$USER_ID" --gid "$USER_ID" --home-dir /home/paretomerge --no-create-home \
	--shell /usr/sbin/nologin paretomerge
# A new volume takes owner and mode from the folder that it is mounted over.
install -d -o "$USER_ID" -g "$USER_ID" -m 0755 \
	"$ROOT/home/paretomerge" "$ROOT/exports" "$ROOT/models" "$ROOT/sets"
# KubeRay starts Ray through a shell that sets a PATH of its own.
install -d -m 0755 "$ROOT/usr/local/bin"
for program in paretomerge ray; do
	ln -s "$VIRTUAL_ENV/bin/$program" "$ROOT/usr/local/bin/$program"
done
