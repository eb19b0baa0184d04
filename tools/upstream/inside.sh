#!/bin/sh
# inside.sh DIRECTORY PROGRAM [ARG…]: the suite of a directory, in a network and mounts of its own.
set -e
mount --make-rprivate /
mkdir -p /var/lib/cni /etc/cni
for directory in /run /var/lib/cni /etc/cni; do mount -t tmpfs tmpfs "$directory"; done
mkdir -p /run/netns /run/lock
# Ports of 127.0.0.1 are led to containers, too.
ip link set lo up
# Some specs keep files in /tmp and look whether others are there.
case " $1 $UPSTREAM_OUTPUT $UPSTREAM_PROGRAMS $(readlink -f "$UPSTREAM_PROGRAMS/bridge")" in
*" /tmp/"*) ;;
*)
  mount -t tmpfs tmpfs /tmp
  # The caller's lies below the old /tmp.
  export TMPDIR=/tmp
  ;;
esac
cd "$1"
shift
# Specs of cnitool look for the plugins where the reference builds them.
if [ -d ../bin ]; then mount --bind "$UPSTREAM_PROGRAMS" ../bin; fi
exec "$@"
