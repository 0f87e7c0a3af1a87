package tool

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/magiconair/properties"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// loadProperties reads a Java properties file.
func loadProperties(path string) (map[string]string, error) {
	if path == "" {
		return map[string]string{}, nil
	}
	l := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := l.LoadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read client configuration: %w", err)
	}
	return p.Map(), nil
}

// merged returns base with the entries of over put on top.
func merged(base, over map[string]string) map[string]string {
	out := maps.Clone(base)
	maps.Copy(out, over)
	return out
}

// clientOptions translates the settings of a Java client that say whom to connect to and how.
func clientOptions(bootstrap string, props map[string]string, clientID string) ([]kgo.Opt, error) {
	var seeds []string
	for _, s := range strings.Split(cmp.Or(bootstrap, props["bootstrap.servers"]), ",") {
		if s = strings.TrimSpace(s); s != "" {
			seeds = append(seeds, s)
		}
	}
	for _, s := range seeds {
		if _, port, ok := cutPort(s); !ok {
			return nil, fmt.Errorf("invalid server %q: host:port is needed (port %q)", s, port)
		}
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.ClientID(cmp.Or(props["client.id"], clientID)),
	}
	security := strings.ToUpper(cmp.Or(props["security.protocol"], "PLAINTEXT"))
	switch security {
	case "PLAINTEXT", "SASL_PLAINTEXT":
	case "SSL", "SASL_SSL":
		t, err := tlsConfig(props)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	default:
		return nil, fmt.Errorf("unknown security.protocol %q", security)
	}
	if strings.HasPrefix(security, "SASL_") {
		m, err := mechanism(props)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func cutPort(server string) (host, port string, ok bool) {
	i := strings.LastIndexByte(server, ':')
	if i < 0 {
		return server, "", false
	}
	n, err := strconv.Atoi(server[i+1:])
	return server[:i], server[i+1:], err == nil && n > 0 && n < 1<<16
}

// tlsConfig takes certificates as PEM, which Java clients know as store type PEM.
func tlsConfig(props map[string]string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if v, ok := props["ssl.endpoint.identification.algorithm"]; ok && v == "" {
		t.InsecureSkipVerify = true
	}
	if path := props["ssl.truststore.location"]; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read trust store: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("trust store %s holds no PEM certificate;"+
				" convert it and set ssl.truststore.type=PEM", path)
		}
	}
	if path := props["ssl.keystore.location"]; path != "" {
		pair, err := tls.LoadX509KeyPair(path, path)
		if err != nil {
			return nil, fmt.Errorf("read key store as PEM: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

var jaasField = regexp.MustCompile(`(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"`)

// mechanism reads user and password from sasl.jaas.config.
func mechanism(props map[string]string) (sasl.Mechanism, error) {
	fields := map[string]string{}
	for _, m := range jaasField.FindAllStringSubmatch(props["sasl.jaas.config"], -1) {
		fields[m[1]] = m[2]
	}
	user, password := fields["username"], fields["password"]
	switch name := cmp.Or(props["sasl.mechanism"], "GSSAPI"); name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("sasl.mechanism %s is not supported by this tool", name)
	}
}

// millis reads a setting in milliseconds.
func millis(props map[string]string, key string) (time.Duration, bool) {
	n, err := strconv.ParseInt(props[key], 10, 64)
	return time.Duration(n) * time.Millisecond, err == nil
}

// admin is a client for requests of our own making.
type admin struct {
	*kgo.Client
	timeout time.Duration
}

// newAdmin connects a client for administrative requests.
func newAdmin(bootstrap, configFile string) (*admin, error) {
	props, err := loadProperties(configFile)
	if err != nil {
		return nil, err
	}
	opts, err := clientOptions(bootstrap, props, "adminclient-1")
	if err != nil {
		return nil, err
	}
	timeout := 60 * time.Second
	if d, ok := millis(props, "default.api.timeout.ms"); ok {
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
