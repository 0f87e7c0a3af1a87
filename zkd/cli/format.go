package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// errTexts are upstream's sentences for the errors it has one for; the path follows.
var errTexts = map[proto.Err]string{
	proto.ErrNoNode:                  "Node does not exist: ",
	proto.ErrNoChildrenForEphemerals: "Ephemerals cannot have children: ",
	proto.ErrNodeExists:              "Node already exists: ",
	proto.ErrNotEmpty:                "Node not empty: ",
	proto.ErrNotReadOnly:             "Not a read-only call: ",
	proto.ErrInvalidACL:              "Acl is not valid : ",
	proto.ErrNoAuth:                  "Insufficient permission : ",
	proto.ErrBadArguments:            "Arguments are not valid : ",
	proto.ErrBadVersion:              "version No is not valid : ",
	proto.ErrQuotaExceeded:           "Quota has exceeded : ",
}

// explain gives an error of the client upstream's words.
func explain(err error, path string) error {
	var code proto.Err
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		code = proto.ErrOperationTimeout
	case errors.Is(err, client.ErrClosed):
		code = proto.ErrConnectionLoss
	case !errors.As(err, &code):
		return err
	}
	if text, ok := errTexts[code]; ok {
		return message(text + path)
	}
	return fmt.Errorf("%w for %s", code, path)
}

// printStat prints a node's Stat.
func printStat(w io.Writer, st *proto.Stat) {
	date := func(ms int64) string {
		return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") // java.util.Date's
	}
	fmt.Fprintf(w, "cZxid = 0x%x\nctime = %s\nmZxid = 0x%x\nmtime = %s\npZxid = 0x%x\n",
		uint64(st.Czxid), date(st.Ctime), uint64(st.Mzxid), date(st.Mtime), uint64(st.Pzxid))
	fmt.Fprintf(w, "cversion = %d\ndataVersion = %d\naclVersion = %d\n",
		st.Cversion, st.Version, st.Aversion)
	fmt.Fprintf(w, "ephemeralOwner = 0x%x\ndataLength = %d\nnumChildren = %d\n",
		uint64(st.EphemeralOwner), st.DataLength, st.NumChildren)
}

// list formats names as Java prints a list.
func list(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

// permLetters are the permissions in the order upstream prints them.
var permLetters = []struct {
	letter byte
	bit    int32
}{
	{'c', proto.PermCreate}, {'d', proto.PermDelete}, {'r', proto.PermRead},
	{'w', proto.PermWrite}, {'a', proto.PermAdmin},
}

// printACL prints each entry as 'scheme,'id and its permissions.
func printACL(w io.Writer, acl []proto.ACL) {
	for _, a := range acl {
		var perms []byte
		for _, p := range permLetters {
			if a.Perms&p.bit != 0 {
				perms = append(perms, p.letter)
			}
		}
		fmt.Fprintf(w, "'%s,'%s\n: %s\n", a.ID.Scheme, a.ID.ID, perms)
	}
}

// parseACL reads scheme:id:perms entries separated by commas. A bad entry is reported and left out,
// as upstream does; the server judges what remains.
func parseACL(text string, warn io.Writer) []proto.ACL {
	acl := []proto.ACL{}
	for entry := range strings.SplitSeq(text, ",") {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first < 0 || first == last {
			fmt.Fprintln(warn, entry+" does not have the form scheme:id:perm")
			continue
		}
		a := proto.ACL{ID: proto.ID{Scheme: entry[:first], ID: entry[first+1 : last]}}
		for _, letter := range []byte(entry[last+1:]) {
			bit := int32(0)
			for _, p := range permLetters {
				if p.letter == letter {
					bit = p.bit
				}
			}
			if bit == 0 {
				fmt.Fprintf(warn, "Unknown perm type: %c\n", letter)
			}
			a.Perms |= bit
		}
		acl = append(acl, a)
	}
	return acl
}

// hexDump formats data as upstream's option -x does.
func hexDump(data []byte) string {
	const (
		head = "         +-------------------------------------------------+\n" +
			"         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n"
		rule = "+--------+-------------------------------------------------+----------------+"
	)
	if len(data) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(head + rule)
	for at := 0; at < len(data); at += 16 {
		fmt.Fprintf(&b, "\n|%08x|", at)
		text := []byte("                ")
		for i := range 16 {
			if at+i >= len(data) {
				b.WriteString("   ")
				continue
			}
			c := data[at+i]
			fmt.Fprintf(&b, " %02x", c)
			if text[i] = c; c < 0x20 || c > 0x7e {
				text[i] = '.'
			}
		}
		fmt.Fprintf(&b, " |%s|", text)
	}
	b.WriteString("\n" + rule)
	return b.String()
}
