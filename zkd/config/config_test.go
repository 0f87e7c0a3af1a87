package config

import "testing"

func TestDefaultsHold(t *testing.T) {
	c := Default()
	if c.ClientListen() != ":2181" || c.AdminAddress != "127.0.0.1:8080" || !c.Standalone() ||
		c.MaxSessionTimeout.Milliseconds() != 60000 || c.PurgeRetain != 3 {
		t.Fatalf("%+v", c)
	}
}
