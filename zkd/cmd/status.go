package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"zkafka/systemd"
	"zkafka/zkd/config"
)

func statusCommand() *cobra.Command {
	var flags configFlags
	c := &cobra.Command{
		Use: "status", Short: "Say whether the server on this machine serves, and its role",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return status(c.OutOrStdout(), &flags)
		},
	}
	flags.add(c)
	return c
}

// status prints what upstream's `zkServer.sh status` prints.
func status(w io.Writer, flags *configFlags) error {
	cfg, _, err := flags.load()
	if errors.Is(err, fs.ErrPermission) {
		// The file may hold secrets, and whoever asks for the role need not be allowed to read them.
		fmt.Fprintf(os.Stderr, "%v; assuming the default port\n", err)
		cfg, err = config.Default(), nil
	}
	if err != nil {
		return err
	}
	if cfg.ClientPort == 0 {
		return errors.New("the configuration has no clientPort")
	}
	host := clientHost(cfg)
	fmt.Fprintf(w, "Client port found: %d. Client address: %s. Client SSL: false.\n",
		cfg.ClientPort, host)
	mode, err := askMode(net.JoinHostPort(host, strconv.Itoa(cfg.ClientPort)))
	if err != nil {
		fmt.Fprintln(w, "Error contacting service. It is probably not running.")
		return systemd.Silent(systemd.ExitFault)
	}
	fmt.Fprintln(w, "Mode: "+mode)
	return nil
}

// clientHost is where a process on this machine reaches the client port.
func clientHost(cfg *config.Config) string {
	switch cfg.ClientAddress {
	case "", "0.0.0.0", "::":
		return "localhost"
	}
	return cfg.ClientAddress
}

// askMode sends srvr and finds the role in the answer.
func askMode(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if mode, ok := strings.CutPrefix(lines.Text(), "Mode: "); ok {
			return mode, nil
		}
	}
	return "", fmt.Errorf("no mode in the answer of %s", address)
}
