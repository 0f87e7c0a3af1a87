package tool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/magiconair/properties"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Properties reads a Java properties file and puts pairs of the form key=value on top; without
// path only these.
func Properties(path string, pairs []string) (map[string]string, error) {
	props := map[string]string{}
	if path != "" {
		l := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		p, err := l.LoadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read properties: %w", err)
		}
		props = p.Map()
	}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		props[key] = value
	}
	return props, nil
}

var protocols = []string{"SASL_SSL", "PLAINTEXT", "SSL", "SASL_PLAINTEXT"}

// connect sees to whom to connect to and how.
func (s *Settings) connect(env Env) error {
	seeds := s.list("bootstrap.servers")
	if len(seeds) == 0 {
		return UpstreamError("No resolvable bootstrap urls given in bootstrap.servers")
	}
	for _, seed := range seeds {
		if _, port, ok := cutPort(seed); !ok {
			return fmt.Errorf("invalid server %q: host:port is needed (port %q)", seed, port)
		}
	}
	s.add(kgo.SeedBrokers(seeds...), kgo.ClientID(s.Text("client.id")),
		kgo.WithHooks(connectionWarner{env.Err}))
	dialer := &net.Dialer{
		Timeout: s.Duration("socket.connection.setup.timeout.ms"), Control: s.socketBuffers,
	}
	dial := dialer.DialContext
	security := strings.ToUpper(s.Text("security.protocol"))
	if strings.HasSuffix(security, "SSL") {
		t, err := s.tlsConfig()
		if err != nil {
			return err
		}
		dial = (&tls.Dialer{NetDialer: dialer, Config: t}).DialContext
	}
	s.add(kgo.Dialer(dial))
	if strings.HasPrefix(security, "SASL_") {
		m, err := s.mechanism()
		if err != nil {
			return err
		}
		s.add(kgo.SASL(m))
	}
	return nil
}

// connectionWarner tells why a tool gets no further: it goes on trying, as upstream's do.
type connectionWarner struct{ w io.Writer }

// OnBrokerConnect is called by the library.
func (c connectionWarner) OnBrokerConnect(
	b kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error,
) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	id := b.NodeID
	if id < 0 {
		id = -1 - (id - math.MinInt32) // upstream counts those named to it down from -1
	}
	fmt.Fprintf(c.w, "WARN Connection to node %d (%s:%d) could not be established. Node may not be"+
		" available. (%v)\n", id, b.Host, b.Port, err)
}

// socketBuffers sets what was asked for before the connection is made, when it still counts for
// the window that is offered.
func (s *Settings) socketBuffers(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		for name, option := range map[string]int{
			"send.buffer.bytes": syscall.SO_SNDBUF, "receive.buffer.bytes": syscall.SO_RCVBUF,
		} {
			if n := s.Number(name); s.Has(name) && n >= 0 {
				failed = errors.Join(failed,
					syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, option, n))
			}
		}
	})
	return errors.Join(err, failed)
}

func cutPort(server string) (host, port string, ok bool) {
	i := strings.LastIndexByte(server, ':')
	if i < 0 {
		return server, "", false
	}
	n, err := strconv.Atoi(server[i+1:])
	return server[:i], server[i+1:], err == nil && n > 0 && n < 1<<16
}

var tlsVersions = map[string]uint16{
	"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12,
	"TLSv1.3": tls.VersionTLS13,
}

func tlsProtocols(v string) string {
	for _, name := range commaList(v) {
		if tlsVersions[name] == 0 {
			return "Unsupported protocol: " + name
		}
	}
	return nonEmpty(strings.Join(commaList(v), ""))
}

// tlsConfig takes certificates as PEM, which Java clients know as store type PEM.
func (s *Settings) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS10}
	for _, name := range s.list("ssl.enabled.protocols") {
		t.MinVersion = min(t.MinVersion, tlsVersions[name])
		t.MaxVersion = max(t.MaxVersion, tlsVersions[name])
	}
	trusted := []byte(s.Text("ssl.truststore.certificates"))
	where := "ssl.truststore.certificates"
	if path := s.Text("ssl.truststore.location"); path != "" {
		var err error
		if trusted, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("read trust store: %w", err)
		}
		where = path
	}
	if len(trusted) > 0 {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(trusted) {
			return nil, fmt.Errorf("trust store %s holds no PEM certificate;"+
				" convert it and set ssl.truststore.type=PEM", where)
		}
	}
	if s.Text("ssl.endpoint.identification.algorithm") == "" {
		t.InsecureSkipVerify = true
		t.VerifyConnection = func(c tls.ConnectionState) error { return chained(c, t.RootCAs) }
	}
	var pair tls.Certificate
	var err error
	switch path := s.Text("ssl.keystore.location"); {
	case path != "":
		pair, err = tls.LoadX509KeyPair(path, path)
	case s.Text("ssl.keystore.key") != "":
		pair, err = tls.X509KeyPair([]byte(s.Text("ssl.keystore.certificate.chain")),
			[]byte(s.Text("ssl.keystore.key")))
	default:
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read key store as PEM: %w", err)
	}
	t.Certificates = []tls.Certificate{pair}
	return t, nil
}

// chained checks a server's certificate like the library of TLS does, but for the name in it.
func chained(c tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, cert := range c.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	_, err := c.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

var jaasField = regexp.MustCompile(`(username|password)\s*=\s*"((?:[^"\\]|\\.)*)"`)

// mechanism reads user and password from sasl.jaas.config.
func (s *Settings) mechanism() (sasl.Mechanism, error) {
	fields := map[string]string{}
	for _, m := range jaasField.FindAllStringSubmatch(s.Text("sasl.jaas.config"), -1) {
		fields[m[1]] = m[2]
	}
	user, password := fields["username"], fields["password"]
	switch name := s.Text("sasl.mechanism"); name {
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
