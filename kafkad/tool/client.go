package tool

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/magiconair/properties"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// LoadProperties reads a Java properties file; no path, no properties.
func LoadProperties(path string) (map[string]string, error) {
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

// ClientOptions translates the settings of a Java client that say whom to connect to and how.
func ClientOptions(bootstrap string, props map[string]string, clientID string) ([]kgo.Opt, error) {
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

// Millis reads a setting in milliseconds; ok is false if there is none, or no number.
func Millis(props map[string]string, key string) (d time.Duration, ok bool) {
	n, err := strconv.ParseInt(props[key], 10, 64)
	return time.Duration(n) * time.Millisecond, err == nil
}
