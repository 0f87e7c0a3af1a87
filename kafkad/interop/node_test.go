//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const nodeClient = `
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const run = async () => {
  const kafka = new Kafka({ brokers: [process.argv[2]], logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'js', numPartitions: 2 }], waitForLeaders: true })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
    const messages = []
    for (let i = 0; i < 500; i++) {
      messages.push({ key: 'k' + i % 5, value: compression + ' v' + i, headers: { h: 'x' } })
    }
    await producer.send({ topic: 'js', compression, messages })
  }
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: 'jsg' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'js', fromBeginning: true })
  const seen = new Set()
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error('read only ' + seen.size)), 60000).unref()
    consumer.run({ eachMessage: async ({ message }) => {
      if (message.headers.h.toString() !== 'x') reject(new Error('header'))
      if (seen.add(message.value.toString()).size === 1000) resolve()
    } }).catch(reject)
  })
  await consumer.disconnect()
  const offsets = await admin.fetchOffsets({ groupId: 'jsg', topics: ['js'] })
  const sum = offsets[0].partitions.reduce((n, p) => n + Number(p.offset), 0)
  console.log('seen', seen.size, 'committed', sum)
  console.log('groups', (await admin.listGroups()).groups.map(g => g.groupId).join())
  await admin.deleteTopics({ topics: ['js'] })
  console.log('topics', (await admin.listTopics()).includes('js'))
  await admin.disconnect()
}
run().catch(e => { console.error(e); process.exit(1) })
`

// kafkajs brings a protocol implementation of its own, with older request versions than others
// send.
func TestInteropKafkajs(t *testing.T) {
	needForeign(t)
	modules := nodeModules(t, "kafkajs@2.2.4")
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	script := writeFile(t, filepath.Join(t.TempDir(), "client.js"), nodeClient)
	cmd := exec.Command("node", script, addr)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "KAFKAJS_NO_PARTITIONER_WARNING=1")
	out := runTool(t, cmd, "")
	want(t, "kafkajs", out, "seen 1000 committed 1000", "groups jsg", "topics false")
}

// nodeModules returns a directory with the package, kept between runs. A machine without Node skips
// the test: Debian's npm would bring hundreds of packages for this one.
func nodeModules(t *testing.T, name string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("NOT RUN: %s is not on this machine", program)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "zkafka-node", name)
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		runTool(t, exec.Command("npm", "install", "--no-audit", "--no-fund", "--prefix", dir, name),
			"")
	}
	return modules
}
