package manage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/tool"
)

// admin is a client for requests of our own making.
type admin struct {
	*kgo.Client
	timeout time.Duration
}

// newAdmin makes a client for administrative requests from the options that tools share.
func newAdmin(env tool.Env, p *tool.Parsed) (*admin, error) {
	props, err := tool.Properties(p.Value("command-config"), nil)
	if err != nil {
		return nil, err
	}
	props["bootstrap.servers"] = p.Value("bootstrap-server")
	if props["client.id"] == "" {
		props["client.id"] = "adminclient-1"
	}
	settings, err := tool.NewSettings(env, tool.Admin, props)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(settings.Options()...)
	if err != nil {
		return nil, err
	}
	return &admin{Client: cl, timeout: settings.Duration("default.api.timeout.ms")}, nil
}

// do sends a request with the client's timeout.
func do[R kmsg.Response](ctx context.Context, a *admin, req kmsg.Request) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	resp, err := a.Request(ctx, req)
	if err != nil {
		var none R
		return none, err
	}
	return resp.(R), nil
}

// retryBackoff is upstream's default of retry.backoff.ms.
const retryBackoff = 100 * time.Millisecond

// untilSettled repeats a request as long as the cluster says that it may succeed later. When the
// time is up the last answer counts.
func untilSettled(ctx context.Context, request func(context.Context) error) error {
	for {
		err := request(ctx)
		if !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryBackoff):
		}
	}
}

// protocolError is an error code with the message that came with it.
type protocolError struct {
	code    int16
	message string
}

func (e *protocolError) Error() string {
	if e.message != "" {
		return e.message
	}
	var ke *kerr.Error
	if errors.As(kerr.ErrorForCode(e.code), &ke) {
		return ke.Description
	}
	return fmt.Sprintf("error code %d", e.code)
}

// codeError returns nil for code 0.
func codeError(code int16, message *string) error {
	if code == 0 {
		return nil
	}
	e := &protocolError{code: code}
	if message != nil {
		e.message = *message
	}
	return e
}

// metadata asks for topics by name; nil = all.
func (a *admin) metadata(ctx context.Context, names []string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	if names != nil {
		req.Topics = make([]kmsg.MetadataRequestTopic, len(names))
		for i := range names {
			req.Topics[i].Topic = &names[i]
		}
	}
	return do[*kmsg.MetadataResponse](ctx, a, req)
}
