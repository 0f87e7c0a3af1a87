package console

import (
	"os"
	"strings"
	"testing"

	"zkafka/kafkad/tool"
)

// listed shows some of the properties.
func listed(props map[string]string, keys string) string {
	var out []string
	for _, k := range strings.Fields(keys) {
		out = append(out, k+"="+props[k])
	}
	return strings.Join(out, " ")
}

func TestProducerProperties(t *testing.T) {
	for _, c := range []struct {
		terminal         bool
		args, keys, want string
	}{
		{false, "", "linger.ms acks request.timeout.ms retry.backoff.ms send.buffer.bytes",
			"linger.ms=1000 acks=-1 request.timeout.ms=1500 retry.backoff.ms=100" +
				" send.buffer.bytes=102400"},
		{false, "", "buffer.memory batch.size metadata.max.age.ms max.block.ms client.id",
			"buffer.memory=33554432 batch.size=16384 metadata.max.age.ms=300000" +
				" max.block.ms=60000 client.id=console-producer"},
		{false, "--timeout 5 --producer-property linger.ms=7", "linger.ms", "linger.ms=5"},
		{false, "--producer-property linger.ms=7", "linger.ms", "linger.ms=7"},
		{true, "", "linger.ms", "linger.ms=0"},
		{true, "--timeout 5", "linger.ms", "linger.ms=5"},
		{false, "--sync --producer-property linger.ms=7", "linger.ms", "linger.ms=7"},
		{false, "--batch-size 500", "batch.size", "batch.size=500"},
		{false, "--batch-size 500 --max-partition-memory-bytes 600", "batch.size", "batch.size=600"},
		{false, "--producer-property batch.size=700", "batch.size", "batch.size=700"},
		{false, "--compression-codec", "compression.type", "compression.type=gzip"},
		{false, "--compression-codec lz4", "compression.type", "compression.type=lz4"},
		{false, "--producer-property compression.type=zstd", "compression.type",
			"compression.type=zstd"},
		{false, "--message-send-max-retries 3", "retries", "retries=3"},
	} {
		p, err := tool.Parse(producerOptions, strings.Fields(c.args))
		if err != nil {
			t.Fatal(err)
		}
		props, err := producerProperties(tool.Env{Terminal: c.terminal}, p)
		if err != nil {
			t.Fatal(err)
		}
		if got := listed(props, c.keys); got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
	p, err := tool.Parse(producerOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	props, err := producerProperties(tool.Env{}, p)
	if _, given := props["retries"]; err != nil || given {
		t.Errorf("the default of retries was taken: %v, %v", props, err)
	}
}

func TestConsumerProperties(t *testing.T) {
	file := t.TempDir() + "/consumer.properties"
	if err := os.WriteFile(file, []byte("group.id=g\nfetch.min.bytes=9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, keys, want string }{
		{"--group g", "group.id enable.auto.commit client.id isolation.level",
			"group.id=g enable.auto.commit= client.id=console-consumer" +
				" isolation.level=read_uncommitted"},
		{"", "enable.auto.commit auto.offset.reset", "enable.auto.commit=false auto.offset.reset="},
		{"--consumer-property enable.auto.commit=true", "enable.auto.commit",
			"enable.auto.commit=true"},
		{"--from-beginning", "auto.offset.reset", "auto.offset.reset=earliest"},
		{"--consumer-property isolation.level=read_committed", "isolation.level",
			"isolation.level=read_committed"},
		{"--isolation-level read_uncommitted --consumer-property isolation.level=read_committed",
			"isolation.level", "isolation.level=read_uncommitted"},
		{"--consumer.config " + file + " --consumer-property fetch.min.bytes=10",
			"group.id fetch.min.bytes", "group.id=g fetch.min.bytes=10"},
	} {
		p, err := tool.Parse(consumerOptions, strings.Fields(c.args))
		if err != nil {
			t.Fatal(err)
		}
		props, err := consumerProperties(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := listed(props, c.keys); got != c.want {
			t.Errorf("%s: %s, want %s", c.args, got, c.want)
		}
	}
	p, err := tool.Parse(consumerOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	props, err := consumerProperties(p)
	if err != nil || !strings.HasPrefix(props["group.id"], "console-consumer-") {
		t.Errorf("without a group: %v, %v", props, err)
	}
}
