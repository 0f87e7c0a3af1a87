package console

import (
	"context"
	"errors"
	"fmt"
	"io"
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
// after OnPartitionsAssigned. Those not committed are the place to start: it replaces them by the
// offset that is there now, and commits that.
func (s *startPositions) settle(
	ctx context.Context, offsets map[string]map[int32]kgo.Offset,
) (map[string]map[int32]kgo.Offset, error) {
	cl := s.client.Load()
	var topics []string
	for topic, partitions := range offsets {
		for _, o := range partitions {
			if o.EpochOffset().Offset < 0 {
				topics = append(topics, topic)
				break
			}
		}
	}
	found, ok := s.list(ctx, cl, topics)
	if !ok {
		return offsets, nil
	}
	commit := map[string]map[int32]kgo.EpochOffset{}
	for _, topic := range topics {
		for partition, o := range offsets[topic] {
			at, ok := found.Lookup(topic, partition)
			if o.EpochOffset().Offset >= 0 || !ok || at.Err != nil || at.Offset < 0 {
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

// list asks for the place to start in all partitions of the topics; not ok if there is none to ask
// for.
func (s *startPositions) list(
	ctx context.Context, cl *kgo.Client, topics []string,
) (kadm.ListedOffsets, bool) {
	if len(topics) == 0 {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, s.settings.Duration("default.api.timeout.ms"))
	defer cancel()
	adm := kadm.NewClient(cl)
	ask := adm.ListEndOffsets
	switch reset := s.settings.Text("auto.offset.reset"); {
	case reset == "none":
		return nil, false
	case reset == "earliest":
		ask = adm.ListStartOffsets
	case s.settings.Text("isolation.level") == "read_committed":
		ask = adm.ListCommittedOffsets
	}
	found, err := ask(ctx, topics...)
	return found, err == nil || len(found) > 0
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
