package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestOutageIsNews(t *testing.T) {
	var o outage
	start := time.Unix(1000, 0)
	for i, c := range []struct {
		cause string
		after time.Duration
		news  bool
		lasts time.Duration
	}{
		{"a", 0, true, 0},
		{"a", time.Second, false, 0},
		{"b", 2 * time.Second, true, 2 * time.Second}, // another cause
		{"a", 3 * time.Second, false, 0},
		{"a", 61 * time.Second, false, 0}, // a minute after the last entry, not after the first
		{"a", 62 * time.Second, true, 62 * time.Second},
		{"b", 63 * time.Second, false, 0},
	} {
		news, lasts := o.news(c.cause, start.Add(c.after))
		if news != c.news || lasts != c.lasts {
			t.Errorf("%d: %v after %v", i, news, lasts)
		}
	}
}

// A server that stays away does not fill the journal.
func TestOutageIsLoggedOnce(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	attempts := make(chan struct{}, 100)
	c, err := Dial(t.Context(), Options{
		Servers: []string{"127.0.0.1:1"}, Log: zap.New(core),
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			attempts <- struct{}{}
			return nil, errors.New("refused")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		<-attempts
	}
	c.Abandon()
	if n := logs.Len(); n != 1 {
		t.Errorf("%d entries: %v", n, logs.All())
	}
}
