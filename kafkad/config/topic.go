package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"zkafka/etc"
)

// Never is upstream's value of settings in milliseconds or messages that are switched off.
const Never = math.MaxInt64

// Topic is the complete configuration of one topic: defaults of the broker, then the topic's own
// settings. Milliseconds and byte counts are kept as upstream counts them, Never included.
type Topic struct {
	CleanupPolicy          []string `key:"cleanup.policy"` // any of "delete", "compact"
	CompressionType        string   `key:"compression.type"`
	CompressionGzipLevel   int      `key:"compression.gzip.level"`
	CompressionLz4Level    int      `key:"compression.lz4.level"`
	CompressionZstdLevel   int      `key:"compression.zstd.level"`
	DeleteRetentionMillis  int64    `key:"delete.retention.ms"`
	FileDeleteDelayMillis  int64    `key:"file.delete.delay.ms"`
	FlushMessages          int64    `key:"flush.messages"`
	FlushMillis            int64    `key:"flush.ms"`
	FollowerThrottled      []string `key:"follower.replication.throttled.replicas"`
	LeaderThrottled        []string `key:"leader.replication.throttled.replicas"`
	IndexIntervalBytes     int      `key:"index.interval.bytes"`
	MaxCompactionLagMillis int64    `key:"max.compaction.lag.ms"`
	MaxMessageBytes        int      `key:"max.message.bytes"`
	DownConversion         bool     `key:"message.downconversion.enable"`
	TimestampType          string   `key:"message.timestamp.type"` // CreateTime, LogAppendTime
	// TimestampBeforeMaxMillis and TimestampAfterMaxMillis bound how far a record's own time may lie
	// before and after the broker's clock. The deprecated message.timestamp.difference.max.ms
	// counts for both unless they are set themselves.
	TimestampBeforeMaxMillis int64   `key:"message.timestamp.before.max.ms"`
	TimestampAfterMaxMillis  int64   `key:"message.timestamp.after.max.ms"`
	MinCleanableDirtyRatio   float64 `key:"min.cleanable.dirty.ratio"`
	MinCompactionLagMillis   int64   `key:"min.compaction.lag.ms"`
	MinInsyncReplicas        int     `key:"min.insync.replicas"`
	Preallocate              bool    `key:"preallocate"`
	RetentionBytes           int64   `key:"retention.bytes"` // -1: no limit
	RetentionMillis          int64   `key:"retention.ms"`    // -1: no limit
	SegmentBytes             int     `key:"segment.bytes"`
	SegmentIndexBytes        int     `key:"segment.index.bytes"`
	SegmentJitterMillis      int64   `key:"segment.jitter.ms"`
	SegmentMillis            int64   `key:"segment.ms"`
	UncleanLeaderElection    bool    `key:"unclean.leader.election.enable"`
}

// Compact reports whether old records of a key are removed.
func (t *Topic) Compact() bool { return contains(t.CleanupPolicy, "compact") }

// Delete reports whether retention by time and size applies.
func (t *Topic) Delete() bool { return contains(t.CleanupPolicy, "delete") }

// LogAppendTime reports whether the broker stamps records with its own clock.
func (t *Topic) LogAppendTime() bool { return t.TimestampType == "LogAppendTime" }

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// TopicDefaults is what a topic without settings of its own gets from the broker configuration.
func TopicDefaults(c *Config) Topic { return c.Topic }

// ParseTopicOverrides checks the settings of a topic to be created or altered, over upstream's
// defaults. The error is an *Error with upstream's message; unknown names are refused.
func ParseTopicOverrides(overrides map[string]string) (Topic, error) {
	return Default().Topic.With(overrides)
}

// With returns the topic's configuration after overrides, which are all checked: an unknown name or
// a bad value is an *Error whose text is what upstream's brokers answer (INVALID_CONFIG).
func (t Topic) With(overrides map[string]string) (Topic, error) {
	errs := t.apply(overrides, true)
	if len(errs) > 0 {
		return Topic{}, errs[0]
	}
	return t, nil
}

// WithStored returns the topic's configuration after settings found in ZooKeeper. As upstream does,
// unknown names are passed over; values that do not parse leave the default and are reported.
func (t Topic) WithStored(overrides map[string]string) (Topic, []error) {
	errs := t.apply(overrides, false)
	return t, errs
}

// apply overlays settings; strict also refuses unknown names and contradictions.
func (t *Topic) apply(overrides map[string]string, strict bool) []error {
	var errs []error
	good := map[string]string{}
	for _, name := range sortedKeys(overrides) {
		key, ok := TopicKey(name)
		if !ok {
			if strict {
				errs = append(errs, &Error{Key: name, Message: "Unknown topic config name: " + name})
			}
			continue
		}
		if err := key.check(overrides[name]); err != nil {
			errs = append(errs, err)
			continue
		}
		good[name] = overrides[name]
	}
	etc.Bind(t, func(key string) (string, bool) { v, ok := good[key]; return v, ok }, unitOf)
	if v, ok := good["message.timestamp.difference.max.ms"]; ok {
		t.timestampDifference(v, func(key string) bool { _, given := good[key]; return given })
	}
	if len(errs) == 0 && t.MinCompactionLagMillis > t.MaxCompactionLagMillis {
		errs = append(errs, &Error{Key: "min.compaction.lag.ms", Message: fmt.Sprintf(
			"conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)",
			t.MinCompactionLagMillis, t.MaxCompactionLagMillis)})
	}
	return errs
}

// timestampDifference applies the deprecated single limit to the two that replaced it, unless they
// are given.
func (t *Topic) timestampDifference(text string, given func(key string) bool) {
	n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64) // checked before
	if !given("message.timestamp.before.max.ms") {
		t.TimestampBeforeMaxMillis = n
	}
	if !given("message.timestamp.after.max.ms") {
		t.TimestampAfterMaxMillis = n
	}
}

// topicDefault is the text of a topic setting's default under a broker configuration.
func topicDefault(c *Config, k *Key) (string, bool) {
	if name, text := synonymInForce(c, k); name != "" {
		return inTopicUnit(name, k.Name, text), true
	}
	if k.Default != nil {
		return *k.Default, true
	}
	return "", false
}

// synonymInForce is the first broker setting given for a topic setting, and its text.
func synonymInForce(c *Config, k *Key) (name, text string) {
	for _, s := range k.Synonyms {
		if v, ok := c.values[s]; ok {
			return s, v
		}
	}
	return "", ""
}

// inTopicUnit turns hours and minutes of a broker setting into the milliseconds of the topic's.
// A negative retention means no limit in every unit.
func inTopicUnit(from, to, text string) string {
	unit := unitOf(from)
	if !strings.HasSuffix(to, ".ms") || unit == time.Millisecond {
		return text
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return text
	}
	return strconv.FormatInt(etc.Saturate(n, int64(unit/time.Millisecond)), 10)
}

// unitOf is the unit in which a setting counts time, the last word of its name.
func unitOf(key string) time.Duration {
	switch key[strings.LastIndexByte(key, '.')+1:] {
	case "hours":
		return time.Hour
	case "minutes":
		return time.Minute
	case "seconds":
		return time.Second
	}
	return time.Millisecond
}
