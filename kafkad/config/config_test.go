package config

import "testing"

func TestDefaultsHold(t *testing.T) {
	c := Default()
	if c.Listeners[0].String() != "PLAINTEXT://:9092" || c.LogDirs[0] != "/var/lib/kafkad" ||
		c.Topic.RetentionMillis != 604800000 || c.Topic.FlushMillis != Never {
		t.Fatalf("%+v", c)
	}
}
