package server_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/record"
)

// A reply of several megabytes, far beyond what is copied, goes from the files to the socket and
// arrives byte for byte: of several segments and partitions, each behind its own head.
func TestFetchLarge(t *testing.T) {
	r := newRig(t, withTopic("t", map[string]string{"segment.bytes": "3000000"}))
	r.lead("t", 3)
	c := r.dial()
	random := rand.NewChaCha8([32]byte{1})
	var want [3][]byte
	for i := range int32(60) {
		value := make([]byte, 200_000)
		_, _ = random.Read(value) // never fails
		b := batch(string(value))
		if p := c.produce("t", i%3, 9, 1, bytes.Clone(b)); p.ErrorCode != 0 {
			t.Fatalf("batch %d: code %d", i, p.ErrorCode)
		}
		record.Batch(b).SetBaseOffset(int64(i / 3))
		record.Batch(b).SetLeaderEpoch(r.epoch)
		want[i%3] = append(want[i%3], b...)
	}
	var got [3][]byte
	next, replies := [3]int64{}, 0
	for ; len(got[0])+len(got[1])+len(got[2]) < len(want[0])+len(want[1])+len(want[2]); replies++ {
		req := fetchRequest("t", next[:]...)
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = 1 << 23
		}
		resp := c.ask(req, 12).(*kmsg.FetchResponse)
		for i, p := range resp.Topics[0].Partitions {
			if p.ErrorCode != 0 || p.RecordBatches == nil {
				t.Fatalf("partition %d from %d: code %d", i, next[i], p.ErrorCode)
			}
			got[i] = append(got[i], p.RecordBatches...)
			next[i] += int64(len(p.RecordBatches) / (len(want[i]) / 20))
		}
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("partition %d: %d bytes that differ from the %d sent", i, len(got[i]),
				len(want[i]))
		}
	}
	if replies > 3 {
		t.Errorf("%d replies: they were to be of several segments each", replies)
	}
}
