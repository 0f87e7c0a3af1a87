package admin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"zkafka/zkd/host"
	"zkafka/zkd/replica"
	"zkafka/zkd/server"
)

// traceMask is upstream's default; zkd has no trace log for it to switch.
const traceMask = 306

// telnetInterrupt is what a telnet client sends for Ctrl-C; it just closes the connection.
const telnetInterrupt = "\xff\xf4\xff\xfd"

// words are the four letter words and what answers them.
var words = map[string]func(a *Admin, w *bytes.Buffer, q *server.Query) error{
	"ruok": func(_ *Admin, w *bytes.Buffer, _ *server.Query) error {
		w.WriteString("imok")
		return nil
	},
	"isro": func(_ *Admin, w *bytes.Buffer, _ *server.Query) error {
		w.WriteString("rw")
		return nil
	},
	"gtmk": func(_ *Admin, w *bytes.Buffer, _ *server.Query) error {
		fmt.Fprint(w, traceMask)
		return nil
	},
	"stmk": func(_ *Admin, w *bytes.Buffer, q *server.Query) error {
		var mask [8]byte
		if _, err := io.ReadFull(q.Rest, mask[:]); err != nil {
			return nil
		}
		fmt.Fprint(w, int64(binary.BigEndian.Uint64(mask[:])))
		return nil
	},
	"srst": func(a *Admin, w *bytes.Buffer, _ *server.Query) error {
		w.WriteString("Server stats reset.\n")
		return a.view((*replica.Machine).ResetStats)
	},
	"crst": func(a *Admin, w *bytes.Buffer, _ *server.Query) error {
		w.WriteString("Connection stats reset.\n")
		return a.view((*replica.Machine).ResetConnStats)
	},
	"dirs": (*Admin).wordDirs,
	"envi": (*Admin).wordEnvi,
	"conf": (*Admin).wordConf,
	"srvr": (*Admin).wordSrvr,
	"stat": (*Admin).wordSrvr,
	"cons": (*Admin).wordCons,
	"mntr": (*Admin).wordMntr,
	"dump": (*Admin).wordDump,
	"wchs": (*Admin).wordWchs,
	"wchc": (*Admin).wordWchc,
	"wchp": (*Admin).wordWchp,
	"hash": (*Admin).wordHash,
}

// FourLetter answers a four letter word; it is a server.Command.
func (a *Admin) FourLetter(q *server.Query) (reply []byte, ok bool) {
	if q.Word == telnetInterrupt {
		return nil, true
	}
	answer, ok := words[q.Word]
	if !ok {
		return nil, false
	}
	if !a.allowed(q.Word) {
		return fmt.Appendf(nil, "%s is not executed because it is not in the whitelist.\n",
			q.Word), true
	}
	var w bytes.Buffer
	if err := answer(a, &w, q); err != nil {
		return []byte("This ZooKeeper instance is not currently serving requests\n"), true
	}
	return w.Bytes(), true
}

func (a *Admin) wordDirs(w *bytes.Buffer, _ *server.Query) error {
	snaps, logs := a.o.Host.DirSizes()
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", snaps, logs)
	return nil
}

func (a *Admin) wordEnvi(w *bytes.Buffer, _ *server.Query) error {
	w.WriteString("Environment:\n")
	for _, f := range environment(a.o.Version) {
		fmt.Fprintf(w, "%s=%v\n", f.key, f.value)
	}
	return nil
}

func (a *Admin) wordConf(w *bytes.Buffer, _ *server.Query) error {
	o := &a.o
	snapDir, logDir := o.Host.Dirs()
	snaps, logs := o.Host.DirSizes()
	fmt.Fprintf(w, "clientPort=%d\nsecureClientPort=%d\n", o.ClientPort, o.SecureClientPort)
	fmt.Fprintf(w, "dataDir=%s\ndataDirSize=%d\n", snapDir, snaps)
	fmt.Fprintf(w, "dataLogDir=%s\ndataLogSize=%d\n", logDir, logs)
	fmt.Fprintf(w, "tickTime=%d\nmaxClientCnxns=%d\n", o.TickTime.Milliseconds(),
		o.MaxClientCnxns)
	fmt.Fprintf(w, "minSessionTimeout=%d\nmaxSessionTimeout=%d\n",
		o.MinSessionTimeout.Milliseconds(), o.MaxSessionTimeout.Milliseconds())
	fmt.Fprintf(w, "clientPortListenBacklog=%d\nserverId=%d\n", o.ClientPortBacklog, o.ServerID)
	return nil
}

// wordSrvr answers srvr, and stat, which lists the connections besides.
func (a *Admin) wordSrvr(w *bytes.Buffer, q *server.Query) error {
	s, err := a.sample()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Zookeeper version: %s\n", a.o.Version)
	if q.Word == "stat" {
		w.WriteString("Clients:\n")
		if err := a.eachConn(q, func(c *replica.ConnInfo, interest int) {
			writeConn(w, c, interest)
			w.WriteString(")\n")
		}); err != nil {
			return err
		}
		w.WriteByte('\n')
	}
	st, m := &s.status, &s.status.Metrics
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", m.Latency.Min, javaDouble(avg(&m.Latency)),
		m.Latency.Max)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", m.PacketsReceived, m.PacketsSent)
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", s.server.Alive, st.Outstanding)
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: standalone\nNode count: %d\n", uint64(st.Zxid), st.Nodes)
	return nil
}

// eachConn calls fn for every connection, the one that asks last.
func (a *Admin) eachConn(q *server.Query, fn func(c *replica.ConnInfo, interest int)) error {
	var conns []replica.ConnInfo
	if err := a.view(func(m *replica.Machine) { conns = m.Conns() }); err != nil {
		return err
	}
	for i := range conns {
		fn(&conns[i], 1)
	}
	fn(&replica.ConnInfo{
		Peer:  replica.Peer{Addr: q.Addr},
		Stats: replica.ConnStats{Received: 1},
	}, 0)
	return nil
}

func writeConn(w *bytes.Buffer, c *replica.ConnInfo, interest int) {
	fmt.Fprintf(w, " /%s[%d](queued=%d,recved=%d,sent=%d", c.Peer.Addr, interest, c.Queued,
		c.Stats.Received, c.Stats.Sent)
}

func (a *Admin) wordCons(w *bytes.Buffer, q *server.Query) error {
	err := a.eachConn(q, func(c *replica.ConnInfo, interest int) {
		writeConn(w, c, interest)
		if c.Session != 0 {
			s := &c.Stats
			fmt.Fprintf(w, ",sid=0x%x,lop=%s,est=%d,to=%d", uint64(c.Session), lastOp(s),
				s.EstablishedMilli, c.TimeoutMillis)
			if s.LastCxid >= 0 {
				fmt.Fprintf(w, ",lcxid=0x%x", s.LastCxid)
			}
			fmt.Fprintf(w, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
				uint64(s.LastZxid), s.LastReplyMilli, s.LastLatency, s.Latency.Min,
				int64(s.Latency.Avg()), s.Latency.Max)
		}
		w.WriteString(")\n")
	})
	w.WriteByte('\n')
	return err
}

func (a *Admin) wordMntr(w *bytes.Buffer, _ *server.Query) error {
	s, err := a.sample()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "zk_version\t%s\nzk_server_state\tstandalone\n", a.o.Version)
	for _, f := range s.monitored() {
		fmt.Fprintf(w, "zk_%s\t%s\n", f.key, text(f.value))
	}
	return nil
}

func (a *Admin) wordDump(w *bytes.Buffer, q *server.Query) error {
	d, err := a.dump()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "SessionTracker dump:\nSession Sets (%d)/(%d):\n", len(d.buckets), d.sessions)
	for _, b := range d.buckets {
		fmt.Fprintf(w, "%d expire at %s:\n", len(b.IDs), javaDate(d.wall(b.ExpiryMillis)))
		for _, id := range b.IDs {
			fmt.Fprintf(w, "\t0x%x\n", uint64(id))
		}
	}
	fmt.Fprintf(w, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(d.ephemerals))
	for _, e := range d.ephemerals {
		fmt.Fprintf(w, "0x%x:\n", uint64(e.Session))
		for _, path := range e.Paths {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	// Upstream sorts connections by the time at which it will drop them; here that is the
	// expiry of their session, so one set holds all.
	fmt.Fprintf(w, "Connections dump:\nConnections Sets (1)/(%d):\n", len(d.conns)+1)
	fmt.Fprintf(w, "%d expire at %s:\n", len(d.conns)+1, javaDate(time.Now()))
	for i := range d.conns {
		c := &d.conns[i]
		fmt.Fprintf(w, "\tip: /%s sessionId: 0x%x\n", c.Peer.Addr, uint64(c.Session))
	}
	fmt.Fprintf(w, "\tip: /%s sessionId: 0x0\n", q.Addr)
	return nil
}

// javaDate prints a time as Java's Date does.
func javaDate(t time.Time) string { return t.Format("Mon Jan 02 15:04:05 MST 2006") }

// dumped is what the command dump shows.
type dumped struct {
	buckets    []replica.SessionBucket
	sessions   int
	ephemerals []replica.SessionEphemerals
	conns      []replica.ConnInfo
	mono, now  int64 // milliseconds of both clocks at the same time
}

func (d *dumped) wall(monoMillis int64) time.Time {
	return time.UnixMilli(d.now + monoMillis - d.mono)
}

func (a *Admin) dump() (*dumped, error) {
	d := &dumped{}
	err := a.view(func(m *replica.Machine) {
		d.buckets = m.SessionBuckets()
		d.ephemerals = m.Ephemerals()
		d.conns = m.Conns()
	})
	for _, b := range d.buckets {
		d.sessions += len(b.IDs)
	}
	d.mono, d.now = host.Nanos()/1e6, time.Now().UnixMilli()
	return d, err
}

func (a *Admin) wordWchs(w *bytes.Buffer, _ *server.Query) error {
	s, err := a.sample()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n",
		s.status.Watches.Watchers, s.status.Watches.Paths, s.status.Watches.Watches)
	return nil
}

func (a *Admin) watches() (list []replica.Watch, err error) {
	err = a.view(func(m *replica.Machine) { list = m.Watches() })
	return list, err
}

func (a *Admin) wordWchc(w *bytes.Buffer, _ *server.Query) error {
	list, err := a.watches()
	for _, s := range bySession(list) {
		fmt.Fprintf(w, "0x%x\n", uint64(s.session))
		for _, path := range s.paths {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	w.WriteByte('\n')
	return err
}

func (a *Admin) wordWchp(w *bytes.Buffer, _ *server.Query) error {
	list, err := a.watches()
	last := ""
	for _, e := range list {
		if e.Path != last {
			fmt.Fprintf(w, "%s\n", e.Path)
			last = e.Path
		}
		fmt.Fprintf(w, "\t0x%x\n", uint64(e.Session))
	}
	w.WriteByte('\n')
	return err
}

func (a *Admin) wordHash(w *bytes.Buffer, _ *server.Query) error {
	digests, err := a.digests()
	for _, d := range digests {
		fmt.Fprintf(w, "%x: %d\n", uint64(d.Zxid), d.Digest)
	}
	return err
}

func (a *Admin) digests() (list []replica.ZxidDigest, err error) {
	err = a.view(func(m *replica.Machine) { list = m.Tree().DigestLog() })
	return list, err
}

// sessionPaths are the watched paths of a session.
type sessionPaths struct {
	session int64
	paths   []string
}

func bySession(list []replica.Watch) []sessionPaths {
	var out []sessionPaths
	index := map[int64]int{}
	for _, w := range list {
		i, ok := index[w.Session]
		if !ok {
			i = len(out)
			index[w.Session] = i
			out = append(out, sessionPaths{session: w.Session})
		}
		out[i].paths = append(out[i].paths, w.Path)
	}
	return out
}
