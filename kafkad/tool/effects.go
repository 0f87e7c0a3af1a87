package tool

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// backOff makes the time between attempts grow from the first to the longest, as upstream's: it
// doubles, give or take a fifth.
func (s *Settings) backOff() {
	first := max(s.Duration("retry.backoff.ms"), time.Millisecond)
	most := max(s.Duration("retry.backoff.max.ms"), time.Millisecond)
	s.add(kgo.RetryBackoffFn(func(failures int) time.Duration {
		d := first
		for range failures - 1 {
			if d >= most {
				break
			}
			d *= 2
		}
		return time.Duration(float64(min(d, most)) * (0.8 + 0.4*rand.Float64()))
	}))
}

func (s *Settings) administrate() {
	if s.Has("retries") {
		s.add(kgo.RequestRetries(s.Number("retries")))
	}
	s.add(kgo.RetryTimeout(s.Duration("default.api.timeout.ms")))
}

// produce sees to what takes several properties of producers.
func (s *Settings) produce(env Env) error {
	if err := s.acknowledge(env); err != nil {
		return err
	}
	// The library counts failed questions for a leader as attempts, which upstream does not. So
	// only a number that was asked for counts: a default would lose records while a broker restarts.
	if s.Has("retries") {
		s.add(kgo.RecordRetries(s.Number("retries")))
	}
	delivery := s.Duration("delivery.timeout.ms")
	if least := s.Duration("linger.ms") + s.Duration("request.timeout.ms"); delivery < least {
		if s.Has("delivery.timeout.ms") {
			return UpstreamError("delivery.timeout.ms should be equal to or larger than linger.ms +" +
				" request.timeout.ms")
		}
		delivery = least
	}
	s.add(kgo.RecordDeliveryTimeout(max(delivery, time.Second)))
	s.add(kgo.ProducerBatchCompression(s.codec()))
	s.add(kgo.RecordPartitioner(s.partitioner()))
	s.add(kgo.BrokerMaxWriteBytes(int32(max(BatchLimit(s.Number("batch.size")), usualFrame))))
	return nil
}

// acknowledge sets acks and with them whether records carry sequence numbers, which they do unless
// another property forbids it.
func (s *Settings) acknowledge(env Env) error {
	acks := map[string]kgo.Acks{
		"all": kgo.AllISRAcks(), "-1": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck(),
	}[s.Text("acks")]
	s.add(kgo.RequiredAcks(acks))
	insists := s.Has("enable.idempotence") && s.Flag("enable.idempotence")
	idempotent := s.Flag("enable.idempotence")
	inFlight := s.Number("max.in.flight.requests.per.connection")
	const most = 5 // as many batches of a producer a broker remembers
	switch {
	case !idempotent:
	case s.Has("retries") && s.Number("retries") == 0:
		if insists {
			return UpstreamError("Must set retries to non-zero when using the idempotent producer.")
		}
		idempotent = false
	case acks != kgo.AllISRAcks():
		if insists {
			return UpstreamError("Must set acks to all in order to use the idempotent producer." +
				" Otherwise we cannot guarantee idempotence.")
		}
		idempotent = false
	case inFlight > most:
		if insists {
			return UpstreamError("Must set max.in.flight.requests.per.connection to at most 5 to use" +
				" the idempotent producer.")
		}
		s.warn(env, "Idempotence will be disabled because max.in.flight.requests.per.connection is"+
			" set to %d, which is greater than 5. Please note that in v4.0.0 and onward, this will"+
			" become an error.", inFlight)
		idempotent = false
	}
	if idempotent {
		return nil // the library sees to the number in flight
	}
	s.add(kgo.DisableIdempotentWrite())
	if inFlight > 0 {
		s.add(kgo.MaxProduceRequestsInflightPerBroker(inFlight))
	}
	return nil
}

var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func gzipLevel(v string) string {
	if v == "-1" {
		return ""
	}
	return between("INT", 32, 1, 9)(v)
}

func (s *Settings) codec() kgo.CompressionCodec {
	level := s.Number("compression." + s.Text("compression.type") + ".level")
	switch s.Text("compression.type") {
	case "gzip":
		return kgo.GzipCompression().WithLevel(level)
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		const fast, strongest = 9, 9 // upstream's 9 is its fast one; our strongest is 9, too
		if level == 0 || level == fast {
			return kgo.Lz4Compression()
		}
		return kgo.Lz4Compression().WithLevel(1 << (8 + min(level, strongest)))
	case "zstd":
		if level == 0 {
			return kgo.ZstdCompression()
		}
		return kgo.ZstdCompression().WithLevel(int(zstd.EncoderLevelFromZstd(level)))
	}
	return kgo.NoCompression()
}

// partitioners are upstream's own, by class name without package.
var partitioners = map[string]func() kgo.Partitioner{
	"RoundRobinPartitioner":    kgo.RoundRobinPartitioner,
	"UniformStickyPartitioner": kgo.StickyPartitioner,
	"DefaultPartitioner":       func() kgo.Partitioner { return kgo.StickyKeyPartitioner(nil) },
}

func simpleName(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

func partitionerClass(v string) string {
	if v != "" && partitioners[simpleName(v)] == nil {
		return "Class " + v + " could not be found."
	}
	return ""
}

func (s *Settings) partitioner() kgo.Partitioner {
	if class := s.Text("partitioner.class"); class != "" {
		return partitioners[simpleName(class)]()
	}
	return kgo.UniformBytesPartitioner(max(1, s.Number("batch.size")),
		s.Flag("partitioner.adaptive.partitioning.enable"), !s.Flag("partitioner.ignore.keys"), nil)
}

const usualAssignors = "RangeAssignor,CooperativeStickyAssignor"

// balancers are upstream's assignors, by class name without package.
var balancers = map[string]func() kgo.GroupBalancer{
	"RangeAssignor":             kgo.RangeBalancer,
	"RoundRobinAssignor":        kgo.RoundRobinBalancer,
	"StickyAssignor":            kgo.StickyBalancer,
	"CooperativeStickyAssignor": kgo.CooperativeStickyBalancer,
}

func assignors(v string) string {
	for _, class := range commaList(v) {
		if balancers[simpleName(class)] == nil {
			return "Class " + class + " cannot be found"
		}
	}
	return nonEmpty(strings.Join(commaList(v), ""))
}

// consume sees to how partitions are divided among the members of a group.
func (s *Settings) consume() {
	if strings.EqualFold(s.Text("group.protocol"), "consumer") {
		// The broker divides them; the library tells it how by one of these two.
		balancer := kgo.StickyBalancer()
		if s.Text("group.remote.assignor") == "range" {
			balancer = kgo.RangeBalancer()
		}
		s.add(kgo.ServerSideBalancer(), kgo.Balancers(balancer))
		return
	}
	var list []kgo.GroupBalancer
	for _, class := range s.list("partition.assignment.strategy") {
		list = append(list, balancers[simpleName(class)]())
	}
	s.add(kgo.Balancers(list...))
}
