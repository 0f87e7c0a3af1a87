package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/tool"
)

// startPositions settles where a group starts in partitions of which it has no offset yet. Java's
// consumer commits its position there even if no record comes: the group has a lag from then on,
// and whoever reads for it next goes on from there. Our library commits only what was consumed, and
// the next reader would start at what is then the end.
type startPositions struct {
	client   atomic.Pointer[kgo.Client]
	warnings io.Writer
	settings *tool.Settings
}

// options are those of a client with a group that starts so.
func (s *startPositions) options(warnings io.Writer, settings *tool.Settings) []kgo.Opt {
	s.warnings, s.settings = warnings, settings
	return []kgo.Opt{kgo.AdjustFetchOffsetsFn(s.settle), kgo.OnPartitionsAssigned(
		func(_ context.Context, cl *kgo.Client, _ map[string][]int32) { s.client.Store(cl) })}
}

// settle gets the offsets of the group in the partitions it was assigned, as its client calls it
// after OnPartitionsAssigned. Where there is none, or records up to a later one are gone, it is
// auto.offset.reset that says where to start: that is replaced by the offset that is there now, and
// committed.
func (s *startPositions) settle(
	ctx context.Context, offsets map[string]map[int32]kgo.Offset,
) (map[string]map[int32]kgo.Offset, error) {
	cl := s.client.Load()
	commit := map[string]map[int32]kgo.EpochOffset{}
	for topic, places := range s.places(ctx, kadm.NewClient(cl), offsets) {
		for partition, at := range places {
			if at.Err != nil || at.Offset < 0 {
				continue // the library finds the place itself, when there is a leader again
			}
			offsets[topic][partition] = kgo.NewOffset().At(at.Offset)
			if commit[topic] == nil {
				commit[topic] = map[int32]kgo.EpochOffset{}
			}
			commit[topic][partition] = kgo.EpochOffset{Epoch: at.LeaderEpoch, Offset: at.Offset}
		}
	}
	s.commit(ctx, cl, commit)
	return offsets, nil
}

// places are the offsets to start at in the partitions that have no usable one. A partition that
// cannot be asked about now has none.
func (s *startPositions) places(
	ctx context.Context, adm *kadm.Client, offsets map[string]map[int32]kgo.Offset,
) kadm.ListedOffsets {
	reset := s.settings.Text("auto.offset.reset")
	if len(offsets) == 0 || reset == "none" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.settings.Duration("default.api.timeout.ms"))
	defer cancel()
	starts, _ := adm.ListStartOffsets(ctx, slices.Collect(maps.Keys(offsets))...)
	unusable := func(topic string, partition int32) bool {
		o, ours := offsets[topic][partition]
		at := o.EpochOffset().Offset
		start, ok := starts.Lookup(topic, partition)
		return ours && (at < 0 || ok && start.Err == nil && at < start.Offset)
	}
	var topics []string
	for topic, partitions := range offsets {
		for partition := range partitions {
			if unusable(topic, partition) {
				topics = append(topics, topic)
				break
			}
		}
	}
	if len(topics) == 0 {
		return nil
	}
	found := starts
	switch {
	case reset == "earliest":
	case s.settings.Text("isolation.level") == "read_committed":
		found, _ = adm.ListCommittedOffsets(ctx, topics...)
	default:
		found, _ = adm.ListEndOffsets(ctx, topics...)
	}
	for topic, partitions := range found {
		maps.DeleteFunc(partitions, func(partition int32, _ kadm.ListedOffset) bool {
			return !unusable(topic, partition)
		})
	}
	return found
}

// startCommitTimeout bounds the commit of start positions: the session waits for it.
const startCommitTimeout = 5 * time.Second

// commit stores start positions, also if the user interrupts just now.
func (s *startPositions) commit(
	ctx context.Context, cl *kgo.Client, offsets map[string]map[int32]kgo.EpochOffset,
) {
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startCommitTimeout)
	defer cancel()
	cl.CommitOffsetsSync(ctx, offsets, func(
		_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error,
	) {
		if err == nil {
			err = firstFault(resp)
		}
		if errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) {
			return // another assignment follows
		}
		if err != nil {
			fmt.Fprintf(s.warnings, "WARN the start of the group was not committed: %v\n", err)
		}
	})
}

// firstFault is the first error in an answer.
func firstFault(resp *kmsg.OffsetCommitResponse) error {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			if err := kerr.ErrorForCode(resp.Topics[i].Partitions[j].ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
