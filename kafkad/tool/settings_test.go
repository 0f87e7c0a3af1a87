package tool

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var clients = map[string]Client{"producer": Producer, "consumer": Consumer, "admin": Admin}

func TestPropertiesAreUpstreams(t *testing.T) {
	b, err := os.ReadFile("testdata/properties-3.9.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	upstream := map[string]Client{}
	for line := range strings.Lines(string(b)) {
		if client, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && client != "#" {
			upstream[name] |= clients[client]
		}
	}
	for name, known := range upstream {
		if p := javaProperties[name]; p.known != known {
			t.Errorf("%s: clients %b, want %b", name, p.known, known)
		}
	}
	for name := range javaProperties {
		if upstream[name] == 0 {
			t.Errorf("no client of upstream knows %s", name)
		}
	}
}

// read makes settings of "key=value key=value".
func read(client Client, props string) (*Settings, string, error) {
	given := map[string]string{"bootstrap.servers": "localhost:1"}
	for _, f := range strings.Fields(props) {
		key, value, _ := strings.Cut(f, "=")
		given[key] = value
	}
	var warnings bytes.Buffer
	s, err := NewSettings(Env{Err: &warnings}, client, given)
	return s, warnings.String(), err
}

// The refusals are those of the clients of 3.9.2, but for the last ones.
func TestSettingsRefuse(t *testing.T) {
	for _, c := range []struct {
		client      Client
		props, want string
	}{
		{Producer, "batch.size=x", "Invalid value x for configuration batch.size: Not a number of" +
			" type INT"},
		{Producer, "batch.size=-5", "Invalid value -5 for configuration batch.size: Value must be at" +
			" least 0"},
		{Producer, "acks=7", "Invalid value 7 for configuration acks: String must be one of: all, -1," +
			" 0, 1"},
		{Producer, "compression.type=foo", "Invalid value foo for configuration compression.type:" +
			" String must be one of: none, gzip, snappy, lz4, zstd"},
		{Producer, "enable.idempotence=yes", "Invalid value yes for configuration" +
			" enable.idempotence: Expected value to be either true or false"},
		{Producer, "partitioner.class=x.Y", "Invalid value x.Y for configuration partitioner.class:" +
			" Class x.Y could not be found."},
		{Producer, "acks=1 enable.idempotence=true", "Must set acks to all in order to use the" +
			" idempotent producer. Otherwise we cannot guarantee idempotence."},
		{Producer, "retries=0 enable.idempotence=true", "Must set retries to non-zero when using the" +
			" idempotent producer."},
		{Producer, "delivery.timeout.ms=1000", "delivery.timeout.ms should be equal to or larger than" +
			" linger.ms + request.timeout.ms"},
		{Consumer, "max.poll.records=0", "Invalid value 0 for configuration max.poll.records: Value" +
			" must be at least 1"},
		{Admin, "bootstrap.servers=", "No resolvable bootstrap urls given in bootstrap.servers"},
		{Producer, "interceptor.classes=x.Y", "Invalid value x.Y for configuration" +
			" interceptor.classes: This tool cannot have it: classes of Java cannot be loaded here"},
		{Consumer, "security.protocol=SASL_SSL", "sasl.mechanism GSSAPI is not supported by this tool"},
	} {
		_, _, err := read(c.client, c.props)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\n got %v\nwant %s", c.props, err, c.want)
		}
	}
}

func TestSettingsWarn(t *testing.T) {
	const unknown = "WARN The configuration '%s' was supplied but isn't a known config.\n"
	for _, c := range []struct {
		client      Client
		props, want string
	}{
		{Producer, "foo.bar=1 linger.ms=2", fmt.Sprintf(unknown, "foo.bar")},
		{Consumer, "linger.ms=2", fmt.Sprintf(unknown, "linger.ms")},
		{Admin, "metric.reporters=x.Y interceptor.classes=",
			fmt.Sprintf(unknown, "interceptor.classes")},
		{Producer, "max.in.flight.requests.per.connection=7", "WARN Idempotence will be disabled" +
			" because max.in.flight.requests.per.connection is set to 7, which is greater than 5." +
			" Please note that in v4.0.0 and onward, this will become an error.\n"},
	} {
		if _, got, err := read(c.client, c.props); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.props, got, err, c.want)
		}
	}
}

// What properties come to in the library's client.
func TestSettingsTakeEffect(t *testing.T) {
	for _, c := range []struct {
		client Client
		props  string
		option any
		want   any
	}{
		{Producer, "linger.ms=20", kgo.ProducerLinger, 20 * time.Millisecond},
		{Producer, "linger.ms=100000", kgo.ProducerLinger, time.Minute},
		{Producer, "", kgo.ProducerBatchMaxBytes, int32(16384)},
		{Producer, "batch.size=0", kgo.ProducerBatchMaxBytes, int32(512)},
		{Producer, "buffer.memory=1000", kgo.MaxBufferedBytes, int64(1000)},
		{Producer, "request.timeout.ms=1500", kgo.ProduceRequestTimeout, 1500 * time.Millisecond},
		{Producer, "request.timeout.ms=1500", kgo.RequestTimeoutOverhead, 1500 * time.Millisecond},
		{Producer, "", kgo.RecordDeliveryTimeout, 2 * time.Minute},
		{Producer, "linger.ms=100000", kgo.RecordDeliveryTimeout, 130 * time.Second},
		{Producer, "retries=3", kgo.RecordRetries, int64(3)},
		{Producer, "", kgo.DisableIdempotentWrite, false},
		{Producer, "acks=1", kgo.DisableIdempotentWrite, true},
		{Producer, "acks=1", kgo.RequiredAcks, kgo.LeaderAck()},
		{Producer, "retries=0", kgo.DisableIdempotentWrite, true},
		{Producer, "enable.idempotence=false max.in.flight.requests.per.connection=3",
			kgo.MaxProduceRequestsInflightPerBroker, 3},
		{Producer, "compression.type=zstd compression.zstd.level=19", kgo.ProducerBatchCompression,
			[]kgo.CompressionCodec{kgo.ZstdCompression().WithLevel(4)}},
		{Producer, "compression.type=lz4 compression.lz4.level=3", kgo.ProducerBatchCompression,
			[]kgo.CompressionCodec{kgo.Lz4Compression().WithLevel(2048)}},
		{Producer, "metadata.max.age.ms=1000", kgo.MetadataMaxAge, time.Second},
		{Producer, "metadata.max.age.ms=1000", kgo.MetadataMinAge, time.Second},
		{Producer, "connections.max.idle.ms=-1", kgo.ConnIdleTimeout, 15 * time.Minute},
		{Producer, "client.id=me", kgo.ClientID, "me"},
		{Consumer, "fetch.min.bytes=9", kgo.FetchMinBytes, int32(9)},
		{Consumer, "fetch.max.bytes=2000000000", kgo.FetchMaxBytes, int32(1 << 30)},
		{Consumer, "fetch.max.wait.ms=700", kgo.FetchMaxWait, 700 * time.Millisecond},
		{Consumer, "max.partition.fetch.bytes=99", kgo.FetchMaxPartitionBytes, int32(99)},
		{Consumer, "check.crcs=false", kgo.DisableFetchCRCValidation, true},
		{Consumer, "isolation.level=read_committed", kgo.FetchIsolationLevel, int8(1)},
		{Consumer, "client.rack=r1", kgo.Rack, "r1"},
		{Consumer, "", kgo.AllowAutoTopicCreation, true},
		{Consumer, "allow.auto.create.topics=false", kgo.AllowAutoTopicCreation, false},
		{Consumer, "session.timeout.ms=9000", kgo.SessionTimeout, 9 * time.Second},
		{Consumer, "heartbeat.interval.ms=500", kgo.HeartbeatInterval, 500 * time.Millisecond},
		{Consumer, "", kgo.RebalanceTimeout, 5 * time.Minute},
		{Consumer, "auto.commit.interval.ms=0", kgo.AutoCommitInterval, 100 * time.Millisecond},
		{Consumer, "enable.metrics.push=false", kgo.DisableClientMetrics, true},
		{Admin, "default.api.timeout.ms=7000", kgo.RetryTimeout, 7 * time.Second},
		{Admin, "retries=2", kgo.RequestRetries, int64(2)},
	} {
		got := optionOf(t, c.client, c.props, c.option)
		if f, ok := got.(func(int16) time.Duration); ok {
			got = f(0)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v (%T), want %v (%T)", c.props, got, got, c.want, c.want)
		}
	}
}

func optionOf(t *testing.T, client Client, props string, option any) any {
	t.Helper()
	s, _, err := read(client, props)
	if err != nil {
		t.Fatal(props, err)
	}
	cl, err := kgo.NewClient(s.Options()...)
	if err != nil {
		t.Fatal(props, err)
	}
	defer cl.Close()
	return cl.OptValue(option)
}

func TestAssignors(t *testing.T) {
	for props, want := range map[string][]string{
		"": {"range", "cooperative-sticky"},
		"partition.assignment.strategy=org.apache.kafka.clients.consumer.RoundRobinAssignor": {
			"roundrobin"},
		"group.protocol=consumer":                             {"sticky"},
		"group.protocol=consumer group.remote.assignor=range": {"range"},
	} {
		var got []string
		for _, b := range optionOf(t, Consumer, props, kgo.Balancers).([]kgo.GroupBalancer) {
			got = append(got, b.ProtocolName())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", props, got, want)
		}
	}
}

func TestBackOff(t *testing.T) {
	const props = "retry.backoff.ms=100 retry.backoff.max.ms=450"
	backOff := optionOf(t, Admin, props, kgo.RetryBackoffFn).(func(int) time.Duration)
	for i, want := range []int64{100, 100, 200, 400, 450, 450} {
		if got := backOff(i).Milliseconds(); got < want*8/10 || got > want*12/10 {
			t.Errorf("after %d failures: %d ms, want about %d", i, got, want)
		}
	}
}

type dialFunc = func(context.Context, string, string) (net.Conn, error)

func TestSocketBuffers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const props = "send.buffer.bytes=30000 receive.buffer.bytes=20000"
	dial := optionOf(t, Consumer, props, kgo.Dialer).(dialFunc)
	conn, err := dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for option, want := range map[int]int{syscall.SO_SNDBUF: 30000, syscall.SO_RCVBUF: 20000} {
			// Linux tells the double, which is what it sets aside.
			n, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, option)
			if err != nil || n != 2*want {
				t.Errorf("buffer of %d bytes, %v; want %d", n, err, 2*want)
			}
		}
	})
}

// With ssl.endpoint.identification.algorithm empty a server may have any name, but its certificate
// still has to be trusted.
func TestServersIdentity(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	store := t.TempDir() + "/trust.pem"
	if err := os.WriteFile(store, pemOf(server.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	trust := " ssl.truststore.location=" + store
	const noName = " ssl.endpoint.identification.algorithm="
	for _, c := range []struct {
		host, props string
		ok          bool
	}{
		{"127.0.0.1", trust, true}, // the certificate names this address
		{"127.0.0.1", "", false},
		{"localhost", trust, false},
		{"localhost", trust + noName, true},
		{"localhost", noName, false},
	} {
		dial := optionOf(t, Admin, "security.protocol=SSL"+c.props, kgo.Dialer).(dialFunc)
		conn, err := dial(t.Context(), "tcp", net.JoinHostPort(c.host, port))
		if (err == nil) != c.ok {
			t.Errorf("%s%s: %v", c.host, c.props, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func pemOf(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
