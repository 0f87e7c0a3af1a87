#!/usr/bin/env bash
# Captures the golden files of kafkad/record, kafkad/producer and kafkad/commitlog from real
# Apache brokers. usage: capture.sh PEER OUT, where PEER is the script that runs Apache releases.
#
# OUT/v2-<codec>          log directory of a topic written by a 3.9.2 broker, clean shutdown
# OUT/old-<format>-<codec> the same by a 1.0.0 broker with message.format.version 0.9.0 or 0.10.2
# OUT/dir39               the checkpoint files of the 3.9.2 log dir
set -euo pipefail
peer=$1 out=$2
port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
tmp=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$tmp"' EXIT
wait_port() { until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do sleep 0.2; done; }
zk=$(port)
mkdir -p "$tmp/zk" "$out"
printf 'dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n' \
  "$tmp/zk" "$zk" >"$tmp/zoo.cfg"
"$peer" zk zookeeper-3.9.4 "$tmp/zoo.cfg" >"$tmp/zk.log" 2>&1 & pids+=($!)
wait_port "$zk"
start() { # release chroot -> sets kp, broker
  kp=$(port)
  cat >"$tmp/$2.properties" <<P
broker.id=7
listeners=PLAINTEXT://127.0.0.1:$kp
zookeeper.connect=127.0.0.1:$zk/$2
log.dirs=$tmp/$2
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=20000
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
P
  "$peer" kafka "$1" "$tmp/$2.properties" >"$tmp/$2.log" 2>&1 & broker=$!
  pids+=($broker)
  wait_port "$kp"
}
lines() { for i in $(seq 1 "$1"); do echo "k$i:value $i $(printf 'x%.0s' $(seq 1 $((i * 3))))"; done; }

start kafka-3.9.2 new
for c in none gzip snappy lz4 zstd; do
  lines 8 | kcat -P -b "127.0.0.1:$kp" -t "v2-$c" -p 0 -K: -z "$c" -H h1=one -H h2= -X linger.ms=500
  lines 6 | "$peer" kafka-console-producer kafka-3.9.2 --bootstrap-server "127.0.0.1:$kp" \
    --topic "v2-$c" --compression-codec "$c" --property parse.key=true --property key.separator=: \
    --timeout 500
done
for i in 1 2 3 4 5 6 7; do # more than one segment
  head -c 6000 /dev/zero | tr '\0' a |
    "$peer" kafka-console-producer kafka-3.9.2 --bootstrap-server "127.0.0.1:$kp" --topic rolled
done
printf 'x\ny\n' | kcat -P -b "127.0.0.1:$kp" -t txn -X transactional.id=t1
kill "$broker"; wait "$broker" || true
for c in none gzip snappy lz4 zstd; do cp -r "$tmp/new/v2-$c-0" "$out/v2-$c"; done
cp -r "$tmp/new/rolled-0" "$out/rolled"
cp -r "$tmp/new/txn-0" "$out/txn"
mkdir -p "$out/dir39"
cp "$tmp"/new/*-checkpoint "$tmp/new/meta.properties" "$tmp/new/.kafka_cleanshutdown" "$out/dir39/"

start kafka-1.0.0 old
for f in 0.9.0 0.10.2; do
  for c in none gzip snappy lz4; do
    "$peer" kafka-topics kafka-1.0.0 --zookeeper "127.0.0.1:$zk/old" --create --topic "old-$f-$c" \
      --partitions 1 --replication-factor 1 --config message.format.version=$f >/dev/null
    lines 8 | kcat -P -b "127.0.0.1:$kp" -t "old-$f-$c" -p 0 -K: -z "$c" -X linger.ms=500 \
      -X enable.idempotence=false
  done
done
kill "$broker"; wait "$broker" || true
for f in 0.9.0 0.10.2; do
  for c in none gzip snappy lz4; do cp -r "$tmp/old/old-$f-$c-0" "$out/old-$f-$c"; done
done
find "$out" -name '*.index' -delete -o -name '*.timeindex' -size +100k -delete
