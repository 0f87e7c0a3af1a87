#!/usr/bin/env bash
# Makes the files that Apache's servers wrote, one directory per release, from the root of the
# repository:
#
#   zkd/snapshot/testdata/capture.sh zookeeper-3.9.4 zookeeper-3.4.14
#
# Each directory has version-2 (two snapshots and two logs, of a server that was restarted in
# between) and dump.jsonl, the tree as a client saw it before the server stopped. For 3.9.4 there
# are also the last snapshot as the server compresses it with gz and with snappy.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
go build -o "${TMPDIR:-/tmp}/zk-capture" "$here/capture"
capture=${TMPDIR:-/tmp}/zk-capture

pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null' EXIT

serve() { # name dir port jvm-flags... : start and wait until it answers
  local name=$1 dir=$2 port=$3; shift 3
  printf 'tickTime=2000\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\n' \
    "$dir" "$port" >"$dir.cfg"
  PEER_JVM="-Xmx256m -Dzookeeper.preAllocSize=16 -Dzookeeper.extendedTypesEnabled=true $*" \
    "$root/.ci/peers/peer" zk "$name" "$dir.cfg" >"$dir.log" 2>&1 &
  pid=$!
  until (exec 3<>"/dev/tcp/127.0.0.1/$port"; printf ruok >&3; grep -q imok <&3) 2>/dev/null; do
    kill -0 $pid || { cat "$dir.log"; exit 1; }
    sleep 0.2
  done
}
stop() { kill "$pid"; wait "$pid" || true; }

for name in "$@"; do
  work=$(mktemp -d); port=$((20000 + RANDOM % 20000)); newer=new
  flags=
  # 3.4 takes no snapshot at start, so it is told to take one on the way.
  case $name in zookeeper-3.4*) newer=old flags=-Dzookeeper.snapCount=20 ;; esac
  mkdir -p "$work/data"; serve "$name" "$work/data" "$port" $flags
  "$capture" fill "127.0.0.1:$port" $newer
  stop
  serve "$name" "$work/data" "$port" $flags
  "$capture" more "127.0.0.1:$port"
  "$capture" dump "127.0.0.1:$port" >"$work/dump.jsonl"
  kill -9 "$pid"; wait "$pid" 2>/dev/null || true
  out=$here/$name; rm -rf "$out"; mkdir -p "$out/version-2"
  cp "$work"/data/version-2/{log,snapshot}.* "$out/version-2/"
  mv "$work/dump.jsonl" "$out/"
  if [ "$name" = zookeeper-3.9.4 ]; then
    for method in gz snappy; do
      cp -r "$work/data" "$work/$method"
      serve "$name" "$work/$method" "$port" -Dzookeeper.snapshot.compression.method=$method
      stop
      mkdir -p "$out/$method"; cp "$work/$method"/version-2/snapshot.*.$method "$out/$method/"
    done
  fi
  rm -rf "$work"
done
