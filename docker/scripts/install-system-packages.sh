#!/bin/sh
# Installs what Python packages do not bring. Nothing of it is needed to build.
#
# tini: the first process of a container; Ray starts processes that outlive their parents, and somebody must reap them.
set -eu

apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends tini
rm -rf /var/lib/apt/lists/*
