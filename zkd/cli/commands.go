package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// commands is the table of the interpreter, commandNames its names in the order of the usage list.
var (
	commands     = make(map[string]*command)
	commandNames []string
)

func init() {
	for _, c := range []*command{
		{"addauth", "scheme auth", "", 1, 2, true, (*session).addauth},
		{"close", "", "", 0, 0, true, (*session).closeCmd},
		{"connect", "host:port", "", 1, 1, false, (*session).connect},
		{"create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]", "sect:", 1, 3, true,
			(*session).create},
		{"delete", "[-v version] path", "v:", 1, 1, true, (*session).delete},
		{"deleteall", "path [-b batch size]", "b:", 1, 1, true, (*session).deleteall},
		{"get", "[-s] [-w] [-b] [-x] path", "swbx", 1, 2, true, (*session).get},
		{"getAcl", "[-s] path", "s", 1, 1, true, (*session).getACL},
		{"getAllChildrenNumber", "path", "", 1, 1, true, (*session).allChildren},
		{"getEphemerals", "path", "", 0, 1, true, (*session).ephemerals},
		{"help", "", "", 0, 99, false, (*session).help},
		{"history", "", "", 0, 0, false, (*session).historyCmd},
		{"ls", "[-s] [-w] [-R] path", "swR", 1, 2, true, (*session).ls},
		{"printwatches", "on|off", "", 0, 1, false, (*session).printwatches},
		{"quit", "", "", 0, 0, false, (*session).quitCmd},
		{"redo", "cmdno", "", 1, 1, false, (*session).redo},
		{"rmr", "path", "", 1, 1, true, (*session).rmr},
		{"set", "path data [-s] [-v version] [-b]", "sbv:", 2, 3, true, (*session).set},
		{"setAcl", "[-s] [-v version] [-R] path acl", "sRv:", 2, 2, true, (*session).setACL},
		{"stat", "[-w] path", "w", 1, 2, true, (*session).stat},
		{"sync", "path", "", 1, 1, true, (*session).sync},
		{"version", "", "", 0, 0, false, (*session).version},
		{"whoami", "", "", 0, 0, true, (*session).whoami},
	} {
		commands[c.name] = c
		if c.name != "rmr" { // it works, but nobody should learn it
			commandNames = append(commandNames, c.name)
		}
	}
}

// do checks the path, sends one request and prints nothing; the error is in upstream's words.
func (s *session) do(path string, op client.Op) (client.OpResult, error) {
	if err := checkPath(path, false); err != nil {
		return client.OpResult{}, err
	}
	r := s.c.Do(s.ctx, op)
	return r, explain(r.Err, path)
}

// watch adds a watch to a read when -w or upstream's old second argument asks for it. What it sees
// is printed with every event of the session.
func (s *session) watch(in *input, op client.Op, name, instead string) client.Op {
	if len(in.args) > 1 {
		fmt.Fprintf(s.err, "'%s path [watch]' has been deprecated."+
			" Please use '%s %s path' instead.\n", name, name, instead)
	}
	if in.has('w') || len(in.args) > 1 {
		return op.Watched(func(client.Event) {})
	}
	return op
}

func (s *session) ls(in *input) error {
	path := in.args[0]
	if in.has('R') {
		if err := checkPath(path, false); err != nil {
			return err
		}
		nodes, err := s.c.Subtree(s.ctx, path)
		if err != nil {
			return explain(err, path)
		}
		slices.SortFunc(nodes, comparePaths)
		for _, n := range nodes {
			fmt.Fprintln(s.out, n)
		}
		return nil
	}
	r, err := s.do(path, s.watch(in, client.ChildrenOp(path), "ls", "[-w]"))
	if err != nil {
		return err
	}
	slices.Sort(r.Children)
	fmt.Fprintln(s.out, list(r.Children))
	if in.has('s') {
		printStat(s.out, &r.Stat)
	}
	return nil
}

// comparePaths orders a tree depth first, siblings by name.
func comparePaths(a, b string) int {
	return slices.Compare(strings.Split(strings.TrimSuffix(a, "/"), "/"),
		strings.Split(strings.TrimSuffix(b, "/"), "/"))
}

func (s *session) get(in *input) error {
	path := in.args[0]
	r, err := s.do(path, s.watch(in, client.GetOp(path), "get", "[-s] [-w]"))
	if err != nil {
		return err
	}
	switch {
	case r.Data == nil:
		fmt.Fprintln(s.out, "null")
	case in.has('b'):
		fmt.Fprintln(s.out, base64.StdEncoding.EncodeToString(r.Data))
	case in.has('x'):
		fmt.Fprintln(s.out, hexDump(r.Data))
	default:
		fmt.Fprintln(s.out, string(r.Data))
	}
	if in.has('s') {
		printStat(s.out, &r.Stat)
	}
	return nil
}

func (s *session) stat(in *input) error {
	path := in.args[0]
	r, err := s.do(path, s.watch(in, client.ExistsOp(path), "stat", "[-w]"))
	if err != nil {
		return err
	}
	printStat(s.out, &r.Stat)
	return nil
}

func (s *session) set(in *input) error {
	version, err := in.version()
	if err != nil {
		return err
	}
	if len(in.args) == 3 { // upstream's old form: set path data version
		n, err := strconv.ParseInt(in.args[2], 10, 32)
		if err != nil {
			return message("set " + commands["set"].usage)
		}
		fmt.Fprintln(s.err, "'set path data [version]' has been deprecated. "+
			"Please use 'set [-s] [-v version] path data' instead.")
		version = int32(n)
	}
	path, data := in.args[0], []byte(in.args[1])
	if in.has('b') {
		if data, err = base64.StdEncoding.DecodeString(in.args[1]); err != nil {
			return fmt.Errorf("data is not base64: %w", err)
		}
	}
	r, err := s.do(path, client.SetOp(path, data, version))
	if err == nil && in.has('s') {
		printStat(s.out, &r.Stat)
	}
	return err
}

func (s *session) create(in *input) error {
	mode, sequential := proto.ModePersistent, in.has('s')
	switch {
	case in.has('c') && (in.has('s') || in.has('e')):
		return message("-c cannot be combined with -s or -e." +
			" Containers cannot be ephemeral or sequential.")
	case in.has('t') && (in.has('e') || in.has('c')):
		return message("TTLs cannot be used with Ephemeral or Container znodes")
	case in.has('t'):
		mode = proto.ModePersistentWithTTL
		if sequential {
			mode = proto.ModePersistentSequentialWithTTL
		}
	case in.has('c'):
		mode = proto.ModeContainer
	case in.has('e'):
		mode = proto.ModeEphemeral
		if sequential {
			mode = proto.ModeEphemeralSequential
		}
	case sequential:
		mode = proto.ModePersistentSequential
	}
	path, acl := in.args[0], proto.OpenACL()
	if err := checkPath(path, sequential); err != nil {
		return err
	}
	var data []byte
	if len(in.args) > 1 {
		data = []byte(in.args[1])
	}
	if len(in.args) > 2 {
		acl = parseACL(in.args[2], s.err)
	}
	ttl, err := in.number('t', 0)
	if err != nil {
		return err
	}
	op := client.CreateOp(path, data, acl, mode)
	if in.has('t') {
		op = client.CreateTTLOp(path, data, acl, mode, ttl)
	}
	r := s.c.Do(s.ctx, op)
	if r.Err != nil {
		return explain(r.Err, path)
	}
	s.ephemeral = s.ephemeral || in.has('e')
	fmt.Fprintln(s.err, "Created "+r.Path)
	return nil
}

func (s *session) delete(in *input) error {
	version, err := in.version()
	if err != nil {
		return err
	}
	_, err = s.do(in.args[0], client.DeleteOp(in.args[0], version))
	return err
}

func (s *session) deleteall(in *input) error {
	if _, err := in.number('b', 0); err != nil {
		return err // the size itself does not matter: deletes are pipelined here
	}
	path := in.args[0]
	if _, err := s.do(path, client.ExistsOp(path)); err != nil {
		return err
	}
	if path == "/" { // the root and what the server keeps are not ours to delete
		return explain(proto.ErrBadArguments, path)
	}
	if err := s.c.DeleteRecursive(s.ctx, path); err != nil {
		return message("Failed to delete some node(s) in the subtree!")
	}
	return nil
}

func (s *session) rmr(in *input) error {
	fmt.Fprintln(s.err, "The command 'rmr' has been deprecated. Please use 'deleteall' instead.")
	return s.deleteall(in)
}

func (s *session) getACL(in *input) error {
	r, err := s.do(in.args[0], client.GetACLOp(in.args[0]))
	if err != nil {
		return err
	}
	printACL(s.out, r.ACL)
	if in.has('s') {
		printStat(s.out, &r.Stat)
	}
	return nil
}

func (s *session) setACL(in *input) error {
	version, err := in.version()
	if err != nil {
		return err
	}
	path, acl := in.args[0], parseACL(in.args[1], s.err)
	if len(acl) == 0 {
		return explain(proto.ErrInvalidACL, "null") // upstream names no path either
	}
	paths := []string{path}
	if in.has('R') {
		if paths, err = s.c.Subtree(s.ctx, path); err != nil {
			return explain(err, path)
		}
	}
	for _, p := range paths {
		r, err := s.do(p, client.SetACLOp(p, acl, version))
		if err != nil {
			return err
		}
		if in.has('s') {
			printStat(s.out, &r.Stat)
		}
	}
	return nil
}

func (s *session) addauth(in *input) error {
	return explain(s.c.AddAuth(s.ctx, in.args[0], []byte(in.arg(1))), "null")
}

func (s *session) sync(in *input) error {
	if err := checkPath(in.args[0], false); err != nil {
		return err
	}
	err := s.c.Sync(s.ctx, in.args[0])
	var code proto.Err
	switch {
	case err == nil:
		fmt.Fprintln(s.out, "Sync is OK")
		return nil
	case errors.As(err, &code):
		return message(fmt.Sprintf("Sync has failed. rc=%d", int32(code)))
	}
	return explain(err, in.args[0])
}

func (s *session) ephemerals(in *input) error {
	prefix := in.arg(0)
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPath(prefix, false); err != nil {
		return err
	}
	paths, err := s.c.Ephemerals(s.ctx, prefix)
	if err != nil {
		return explain(err, prefix)
	}
	slices.Sort(paths)
	fmt.Fprintln(s.out, list(paths))
	return nil
}

func (s *session) allChildren(in *input) error {
	path := in.args[0]
	if err := checkPath(path, false); err != nil {
		return err
	}
	n, err := s.c.AllChildrenNumber(s.ctx, path)
	if err == nil {
		fmt.Fprintln(s.out, n)
	}
	return explain(err, path)
}

func (s *session) whoami(*input) error {
	who, err := s.c.WhoAmI(s.ctx)
	if err != nil {
		return explain(err, "null")
	}
	fmt.Fprintln(s.out, "Auth scheme: User")
	for _, w := range who {
		fmt.Fprintf(s.out, "%s: %s\n", w.AuthScheme, w.User)
	}
	return nil
}

func (s *session) version(*input) error {
	fmt.Fprintln(s.out, "ZooKeeper CLI version: "+s.opt.Version)
	return nil
}

func (s *session) help(*input) error {
	usage(s.out)
	return nil
}

func (s *session) connect(in *input) error {
	if _, _, err := client.ParseServers(in.args[0]); err != nil {
		return err
	}
	s.hangUp()
	s.server = in.args[0]
	return s.dial()
}

func (s *session) closeCmd(*input) error {
	s.hangUp()
	return nil
}

func (s *session) quitCmd(*input) error {
	s.quit = true
	return nil
}

func (s *session) printwatches(in *input) error {
	if len(in.args) == 0 {
		state := "off"
		if s.printWatches.Load() {
			state = "on"
		}
		fmt.Fprintln(s.out, "printwatches is "+state)
		return nil
	}
	s.printWatches.Store(in.args[0] == "on")
	return nil
}

// historyCmd prints the last eleven commands, itself among them.
func (s *session) historyCmd(*input) error {
	for i := max(0, len(s.history)-11); i < len(s.history); i++ {
		fmt.Fprintf(s.out, "%d - %s\n", i, s.history[i])
	}
	return nil
}

// redo runs a line of the history again; the history then holds that line instead of the redo.
func (s *session) redo(in *input) error {
	n, err := strconv.Atoi(in.args[0])
	if err != nil {
		return fmt.Errorf("redo: %q is not a number", in.args[0])
	}
	if n < 0 || n >= len(s.history)-1 {
		return message("Command index out of range")
	}
	words := split(s.history[n])
	if words[0] == "redo" {
		return message("No redoing redos")
	}
	s.history[len(s.history)-1] = s.history[n]
	cmd, again, err := parse(words)
	if err != nil {
		return err
	}
	return s.run(cmd, again)
}
