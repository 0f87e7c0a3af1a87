package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"zkafka/systemd"
)

// serverScript is zkServer.sh: [--config DIR] VERB [FILE]. With the unit installed and no other
// configuration named, the verbs go through the service manager; else the server is a plain process
// with a pid file, as upstream's.
func serverScript(version string) *cobra.Command {
	s := &script{}
	root := &cobra.Command{
		Use:   "zkServer.sh [--config DIR] VERB [FILE]",
		Short: "Start, stop and look at the server, as upstream's script does",
	}
	root.PersistentFlags().StringVar(&s.dir, "config", "", "directory of the configuration")
	verb := func(name, short string, run func(c *cobra.Command) error) {
		root.AddCommand(&cobra.Command{
			Use: name + " [FILE]", Short: short, Args: cobra.MaximumNArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				if len(args) == 1 {
					s.file = args[0]
				}
				return run(c)
			},
		})
	}
	verb("start", "Start the server", s.start)
	verb("stop", "Stop the server", s.stop)
	verb("restart", "Stop and start the server", func(c *cobra.Command) error {
		if s.managed() {
			return unit.Do("restart")
		}
		if err := s.stop(c); err != nil {
			return err
		}
		return s.start(c)
	})
	verb("status", "Say the server's role", func(c *cobra.Command) error {
		fmt.Fprintln(c.ErrOrStderr(), "Using config: "+s.path())
		return status(c.OutOrStdout(), &configFlags{file: s.path()})
	})
	verb("start-foreground", "Run the server in this terminal", func(c *cobra.Command) error {
		fmt.Fprintln(c.ErrOrStderr(), "Using config: "+s.path())
		return serve(c.Context(), &configFlags{file: s.path()}, version)
	})
	verb("version", "Print the version", func(c *cobra.Command) error {
		fmt.Fprintln(c.OutOrStdout(), "zkd", version)
		return nil
	})
	verb("print-cmd", "Print the command that start would run", func(c *cobra.Command) error {
		self, err := os.Executable()
		fmt.Fprintln(c.OutOrStdout(), self, "serve", "--config", s.path())
		return err
	})
	return root
}

// script is one run of a start or stop script.
type script struct {
	dir  string // --config
	file string
}

// path is the configuration that the script's options and upstream's variables name.
func (s *script) path() string {
	dir := s.dir
	if dir == "" {
		dir = os.Getenv("ZOOCFGDIR")
	}
	if dir == "" {
		dir = filepath.Dir(defaultConfig)
	}
	name := s.file
	if name == "" {
		name = os.Getenv("ZOOCFG")
	}
	if name != "" {
		if _, err := os.Stat(name); err == nil || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	toml := filepath.Join(dir, filepath.Base(defaultConfig))
	if _, err := os.Stat(toml); err == nil {
		return toml
	}
	return filepath.Join(dir, "zoo.cfg")
}

// managed: the unit is installed and this is its configuration.
func (s *script) managed() bool {
	return s.path() == defaultConfig && unit.Installed()
}

func (s *script) pidFile() (string, error) {
	if file := os.Getenv("ZOOPIDFILE"); file != "" {
		return file, nil
	}
	cfg, _, err := (&configFlags{file: s.path()}).load()
	if err != nil {
		return "", err
	}
	return filepath.Join(cfg.DataDir, "zookeeper_server.pid"), nil
}

// outputFile is where a server in the background writes: upstream's name, in $ZOO_LOG_DIR or
// beside the pid file.
func outputFile(pidFile string) string {
	dir := os.Getenv("ZOO_LOG_DIR")
	if dir == "" {
		dir = filepath.Dir(pidFile)
	}
	name := "nobody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, _ := os.Hostname() // without one, the name is only less telling
	return filepath.Join(dir, "zookeeper-"+name+"-server-"+host+".out")
}

func (s *script) start(c *cobra.Command) error {
	fmt.Fprintln(c.ErrOrStderr(), "Using config: "+s.path())
	out := c.OutOrStdout()
	fmt.Fprint(out, "Starting zookeeper ... ")
	if s.managed() {
		if err := unit.Do("start"); err != nil {
			fmt.Fprintln(out, "FAILED TO START")
			return err
		}
		fmt.Fprintln(out, "STARTED")
		return nil
	}
	pidFile, err := s.pidFile()
	if err != nil {
		fmt.Fprintln(out, "FAILED TO START")
		return err
	}
	if pid, alive := systemd.ReadPID(pidFile); alive {
		fmt.Fprintf(out, "already running as process %d.\n", pid)
		return systemd.Silent(systemd.ExitFault)
	}
	if err := os.MkdirAll(filepath.Dir(pidFile), 0o750); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	pid, err := systemd.Spawn(ctx, outputFile(pidFile), "serve", "--config", s.path())
	if errors.Is(err, systemd.ErrNotReady) {
		fmt.Fprintln(c.ErrOrStderr(), err)
	} else if err != nil {
		fmt.Fprintln(out, "FAILED TO START")
		return err
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		fmt.Fprintln(out, "FAILED TO WRITE PID")
		return err
	}
	fmt.Fprintln(out, "STARTED")
	return nil
}

func (s *script) stop(c *cobra.Command) error {
	fmt.Fprintln(c.ErrOrStderr(), "Using config: "+s.path())
	out := c.OutOrStdout()
	fmt.Fprint(out, "Stopping zookeeper ... ")
	if s.managed() && unit.Active() {
		if err := unit.Do("stop"); err != nil {
			return err
		}
		fmt.Fprintln(out, "STOPPED")
		return nil
	}
	pidFile, err := s.pidFile()
	if err != nil {
		return err
	}
	pid, alive := systemd.ReadPID(pidFile)
	if pid == 0 {
		fmt.Fprintf(out, "no zookeeper to stop (could not find file %s)\n", pidFile)
		return nil
	}
	if alive {
		ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
		defer cancel()
		if err := systemd.Stop(ctx, pid); err != nil && !errors.Is(err, systemd.ErrNotRunning) {
			return err
		}
	}
	if err := os.Remove(pidFile); err != nil {
		return err
	}
	fmt.Fprintln(out, "STOPPED")
	return nil
}

// daemonPatience is how long -daemon waits for the server, to tell at once when it cannot start.
const daemonPatience = 10 * time.Second

// startScript is zookeeper-server-start.sh: [-daemon] FILE.
func startScript(version string) *cobra.Command {
	c := &cobra.Command{
		Use: "zookeeper-server-start.sh [-daemon] FILE", Short: "Run the server",
		DisableFlagParsing: true,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		background := len(args) > 0 && args[0] == "-daemon"
		if background {
			args = args[1:]
		}
		if len(args) != 1 || args[0] == "--help" || args[0] == "-h" {
			return errors.New("USAGE: zookeeper-server-start.sh [-daemon] zookeeper.properties")
		}
		if !background {
			return serve(c.Context(), &configFlags{file: args[0]}, version)
		}
		ctx, cancel := context.WithTimeout(c.Context(), daemonPatience)
		defer cancel()
		_, err := systemd.Spawn(ctx, systemd.OutputFile("zookeeper.out"), "serve", "--config", args[0])
		if errors.Is(err, systemd.ErrNotReady) {
			fmt.Fprintln(c.ErrOrStderr(), err)
			return nil
		}
		return err
	}
	return c
}

// stopScript is zookeeper-server-stop.sh.
func stopScript() *cobra.Command {
	return &cobra.Command{
		Use: "zookeeper-server-stop.sh", Short: "Stop the server on this machine",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
			defer cancel()
			err := unit.StopServing(ctx)
			if errors.Is(err, systemd.ErrNotRunning) {
				fmt.Fprintln(c.OutOrStdout(), "No zookeeper server to stop")
				return systemd.Silent(systemd.ExitFault)
			}
			return err
		},
	}
}
