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

// newAdmin connects a client for administrative requests.
func newAdmin(bootstrap, configFile string) (*admin, error) {
	props, err := tool.LoadProperties(configFile)
	if err != nil {
		return nil, err
	}
	opts, err := tool.ClientOptions(bootstrap, props, "adminclient-1")
	if err != nil {
		return nil, err
	}
	timeout := 60 * time.Second
	if d, ok := tool.Millis(props, "default.api.timeout.ms"); ok {
		timeout = d
	}
	cl, err := kgo.NewClient(append(opts, kgo.RetryTimeout(timeout))...)
	if err != nil {
		return nil, err
	}
	return &admin{Client: cl, timeout: timeout}, nil
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
