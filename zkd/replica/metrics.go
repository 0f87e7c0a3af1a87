package replica

import "math/bits"

// Summary counts a measured quantity: how often, how much, between which bounds.
type Summary struct {
	Count, Sum int64
	Min, Max   int64 // 0 while Count is 0
}

// Add counts one value.
func (s *Summary) Add(v int64) {
	if s.Count == 0 || v < s.Min {
		s.Min = v
	}
	if v > s.Max {
		s.Max = v
	}
	s.Count++
	s.Sum += v
}

// Avg is the mean, 0 while there is none.
func (s *Summary) Avg() float64 {
	if s.Count == 0 {
		return 0
	}
	return float64(s.Sum) / float64(s.Count)
}

// subBuckets is the number of buckets per power of two of a Histogram: values are known to 1/8.
const subBuckets = 8

// Histogram is a Summary that also knows quantiles, exact below subBuckets and to an eighth above.
type Histogram struct {
	Summary
	buckets [subBuckets * 40]uint64
}

// Add counts one value; negative ones count as 0.
func (h *Histogram) Add(v int64) {
	v = max(v, 0)
	h.Summary.Add(v)
	h.buckets[bucketOf(v)]++
}

func bucketOf(v int64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - 4 // leaves 8..15
	i := shift*subBuckets + int(v>>shift)
	return min(i, subBuckets*40-1)
}

// bucketValue is the smallest value of a bucket.
func bucketValue(i int) int64 {
	if i < 2*subBuckets {
		return int64(i)
	}
	shift := i/subBuckets - 1
	return int64(i%subBuckets+subBuckets) << shift
}

// Quantile returns the value below which the fraction q of all values lies.
func (h *Histogram) Quantile(q float64) int64 {
	if h.Count == 0 {
		return 0
	}
	left := int64(q * float64(h.Count))
	for i, n := range h.buckets {
		left -= int64(n)
		if left < 0 {
			return min(max(bucketValue(i), h.Min), h.Max)
		}
	}
	return h.Max
}

// Metrics are the counters of a machine. The names are upstream's.
type Metrics struct {
	PacketsReceived, PacketsSent int64
	Latency                      Summary // of every request, milliseconds
	ReadLatency, UpdateLatency   Histogram

	LastResponseSize, MinResponseSize, MaxResponseSize int64 // -1 before the first
	ResponseBytes, WatchBytes                          int64

	NodeCreatedWatches, NodeDeletedWatches   Summary
	NodeChangedWatches, NodeChildrenWatches  Summary
	CommitCount, ConnectionRequests          int64
	ConnectionRevalidations, AuthFailed      int64
	StaleSessionsExpired                     int64
	OutstandingQueued, OutstandingRemoved    int64
	ReadsAfterWrite, RequestsInSessionQueue  Summary
	ReadsIssued, PendingSessionQueue         Summary
	CloseSessionPrepTime, PrepProcessingTime Summary
}

func (m *Metrics) response(size int64) {
	m.LastResponseSize = size
	if m.MinResponseSize < 0 || size < m.MinResponseSize {
		m.MinResponseSize = size
	}
	m.MaxResponseSize = max(m.MaxResponseSize, size)
	m.ResponseBytes += size
}

// Reset does what the command srst does: forgets packets and latencies.
func (m *Metrics) Reset() {
	m.PacketsReceived, m.PacketsSent = 0, 0
	m.Latency = Summary{}
}

func newMetrics() Metrics {
	return Metrics{LastResponseSize: -1, MinResponseSize: -1, MaxResponseSize: -1}
}
