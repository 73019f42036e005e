#!/bin/sh
# Installs everything that the project needs, but not the project: a layer that a change of code leaves as it is.
#
#   SOURCE           the folder of pyproject.toml and constraints.txt          (/build)
#   VIRTUAL_ENV      the environment to make                                   (/opt/paretomerge)
#   BUILD_ENV        another one, with what builds the project's wheel         (/opt/build)
#   ACCELERATOR      cpu or cuda: which build of torch                         (cpu)
#   TORCH_INDEX_URL  where torch comes from; empty: from where all else comes  (PyTorch's own index for cpu)
#   PYTHON           makes both environments; its pip fills them               (python3)
set -eu

SOURCE="${SOURCE:-/build}"
VIRTUAL_ENV="${VIRTUAL_ENV:-/opt/paretomerge}"
BUILD_ENV="${BUILD_ENV:-/opt/build}"
ACCELERATOR="${ACCELERATOR:-cpu}"
PYTHON="${PYTHON:-python3}"

case "$ACCELERATOR" in
cpu) TORCH_INDEX_URL="${TORCH_INDEX_URL-https://download.pytorch.org/whl/cpu}" ;;
# The build on PyPI is the one for CUDA; its libraries come with it as packages.
cuda) TORCH_INDEX_URL="${TORCH_INDEX_URL-}" ;;
*)
	echo "\`ACCELERATOR\` must be cpu or cuda, but is '$ACCELERATOR'. Build with --build-arg ACCELERATOR=cpu." >&2
	exit 2
	;;
esac

install_into() {
	environment="$1"
	shift
	"$PYTHON" -m pip --python "$environment/bin/python" --disable-pip-version-check install --quiet --no-cache-dir \
		--constraint "$SOURCE/constraints.txt" "$@"
}

# Without pip: nothing is installed into a running container.
"$PYTHON" -m venv --without-pip "$VIRTUAL_ENV"
"$PYTHON" -m venv --without-pip "$BUILD_ENV"

# torch first and alone: PyTorch's index holds other versions of what torch needs than the constraints name.
if [ -n "$TORCH_INDEX_URL" ]; then
	install_into "$VIRTUAL_ENV" --no-deps --index-url "$TORCH_INDEX_URL" torch
else
	install_into "$VIRTUAL_ENV" --no-deps torch
fi
if [ "$ACCELERATOR" = cpu ] && grep -q '^Requires-Dist: nvidia-' "$VIRTUAL_ENV"/lib/python3.*/site-packages/torch-*.dist-info/METADATA; then
	echo "With \`ACCELERATOR\` cpu, torch must be built without CUDA, but the one that was found needs 4 GB of it." \
		"Leave out TORCH_INDEX_URL, or let it name an index of builds for CPUs." >&2
	exit 2
fi

requirements="$(mktemp)"
trap 'rm -f "$requirements"' EXIT
# list_of KEY KEY: what pyproject.toml lists there, one a line.
list_of() {
	"$PYTHON" -c '
import sys, tomllib
values = tomllib.load(sys.stdin.buffer)
for key in sys.argv[1:]:
    values = values[key]
print(*values, sep="\n")
' "$@" <"$SOURCE/pyproject.toml" >"$requirements"
}

list_of project dependencies
install_into "$VIRTUAL_ENV" --requirement "$requirements"
list_of build-system requires
install_into "$BUILD_ENV" --requirement "$requirements"
