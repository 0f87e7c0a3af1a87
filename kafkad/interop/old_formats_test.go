//go:build interop

package interop

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Clients from before record batches write and read message sets; they and today's clients read
// each other's records. Headers are lost on the way to them, keys, values and times are not.
func TestInteropOldMessageFormats(t *testing.T) {
	_, zk := zkd(t, t.TempDir())
	_, addr := kafkad(t, zk, t.TempDir(), "")
	// No lz4: the broker writes it for 0.9 with the wrong header checksum that clients of the time
	// made, and franz-go expects the right one.
	clients := []struct {
		name     string
		versions *kversion.Versions
		codec    kgo.CompressionCodec
	}{
		{"0.9", kversion.V0_9_0(), kgo.SnappyCompression()},
		{"0.10", kversion.V0_10_2(), kgo.SnappyCompression()},
		{"0.10 plain", kversion.V0_10_2(), kgo.NoCompression()},
		{"0.11", kversion.V0_11_0(), kgo.GzipCompression()},
		{"today", kversion.Stable(), kgo.SnappyCompression()},
	}
	const each = 300
	ours(t, "", "kafka-topics", "--bootstrap-server", addr, "--create", "--topic", "old",
		"--partitions", "1", "--replication-factor", "1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sent := time.UnixMilli(1_700_000_000_000)
	var all []string
	for _, c := range clients {
		cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MaxVersions(c.versions),
			kgo.ProducerBatchCompression(c.codec), kgo.DisableIdempotentWrite(),
			kgo.DefaultProduceTopic("old"))
		if err != nil {
			t.Fatal(err)
		}
		var records []*kgo.Record
		for i := range each {
			value := fmt.Sprintf("%s %d", c.name, i)
			all = append(all, value)
			records = append(records, &kgo.Record{Key: []byte(c.name), Value: []byte(value),
				Timestamp: sent})
		}
		if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatalf("produce as %s: %v", c.name, err)
		}
		cl.Close()
	}
	for _, c := range clients {
		got := readAll(ctx, t, addr, c.name, c.versions, len(all))
		if !slices.Equal(got, all) {
			t.Errorf("as %s: read %d records, not the %d that were sent", c.name, len(got),
				len(all))
		}
	}
}

// readAll reads n values from the start of the topic and checks keys, offsets and the times of
// records whose writer and reader know times.
func readAll(
	ctx context.Context, t *testing.T, addr, name string, versions *kversion.Versions, n int,
) []string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MaxVersions(versions),
		kgo.ConsumeTopics("old"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var got []string
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("as %s after %d records: %v", name, len(got), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			writer := string(r.Key)
			if r.Offset != int64(len(got)) || len(r.Value) <= len(writer) ||
				string(r.Value[:len(writer)]) != writer {
				t.Errorf("as %s: offset %d key %q value %q after %d records", name, r.Offset, r.Key,
					r.Value, len(got))
			}
			if writer != "0.9" && name != "0.9" && r.Timestamp.UnixMilli() != 1_700_000_000_000 {
				t.Errorf("as %s: %q has the time %v", name, r.Value, r.Timestamp)
			}
			got = append(got, string(r.Value))
		})
	}
	return got
}
