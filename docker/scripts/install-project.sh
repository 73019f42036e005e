#!/bin/sh
# Builds the project's wheel and installs it beside its dependencies. Asks no index for anything.
#
#   SOURCE       the project: pyproject.toml and the packages               (/build)
#   VIRTUAL_ENV  the environment that holds its dependencies                (/opt/paretomerge)
#   BUILD_ENV    the environment with its build backend                     (/opt/build)
#   PYTHON       its pip fills the environment                              (python3)
set -eu

SOURCE="${SOURCE:-/build}"
VIRTUAL_ENV="${VIRTUAL_ENV:-/opt/paretomerge}"
BUILD_ENV="${BUILD_ENV:-/opt/build}"
PYTHON="${PYTHON:-python3}"

wheels="$(mktemp -d)"
trap 'rm -rf "$wheels"' EXIT
(cd "$SOURCE" && "$BUILD_ENV/bin/python" -m hatchling build -t wheel -d "$wheels")
"$PYTHON" -m pip --python "$VIRTUAL_ENV/bin/python" --disable-pip-version-check install --quiet --no-cache-dir \
	--no-index --no-deps "$wheels"/*.whl
# Neither loads a dependency that is large: a wheel without one of its folders is noticed here, and not by a user.
"$VIRTUAL_ENV/bin/paretomerge" --help >/dev/null
