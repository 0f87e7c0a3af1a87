package replica_test

import (
	"fmt"
	"slices"
	"strings"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// describe prints a frame that the server sent as the reply to a request of type op, and returns
// its xid. Times are left out and sessions have names, so that transcripts are the same every
// time.
func (s *script) describe(frame []byte, op proto.Op) (string, int32) {
	r := jute.NewReader(frame, 0)
	var h proto.ReplyHeader
	h.Decode(r)
	if h.Xid == proto.XidNotification {
		var e proto.WatcherEvent
		e.Decode(r)
		return fmt.Sprintf("event %s %q state=%d zxid=%d\n", e.Type, e.Path, e.State, h.Zxid), h.Xid
	}
	line := fmt.Sprintf("xid=%d zxid=%d", h.Xid, h.Zxid)
	if h.Err != proto.ErrOK {
		line += fmt.Sprintf(" err=%d", int32(h.Err))
	} else if body := s.body(r, op); body != "" {
		line += " " + body
	}
	if r.Err() != nil {
		line += fmt.Sprintf(" (%v)", r.Err())
	}
	if n := r.Remaining(); n > 0 {
		line += fmt.Sprintf(" (%d bytes more)", n)
	}
	return line + "\n", h.Xid
}

func (s *script) body(r *jute.Reader, op proto.Op) string {
	if r.Remaining() == 0 {
		return ""
	}
	switch op {
	case proto.OpCreate:
		return fmt.Sprintf("path=%q", r.String())
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return fmt.Sprintf("path=%q %s", r.String(), s.stat(r))
	case proto.OpExists, proto.OpSetData, proto.OpSetACL:
		return s.stat(r)
	case proto.OpGetData:
		return fmt.Sprintf("%s %s", data(r), s.stat(r))
	case proto.OpGetChildren, proto.OpGetEphemerals:
		return sorted(r)
	case proto.OpGetChildren2:
		return sorted(r) + " " + s.stat(r)
	case proto.OpGetACL:
		return fmt.Sprintf("%v %s", acls(r), s.stat(r))
	case proto.OpSync:
		return fmt.Sprintf("path=%q", r.String())
	case proto.OpGetAllChildrenNumber, proto.OpAddWatch:
		return fmt.Sprint(r.Int32())
	case proto.OpWhoAmI:
		var resp proto.WhoAmIResponse
		resp.Decode(r)
		slices.SortFunc(resp.ClientInfo, func(a, b proto.ClientInfo) int {
			return strings.Compare(a.AuthScheme+a.User, b.AuthScheme+b.User)
		})
		return fmt.Sprint(resp.ClientInfo)
	case proto.OpMulti, proto.OpMultiRead:
		return s.multi(r)
	case proto.OpSASL:
		return "token " + data(r)
	}
	return ""
}

func data(r *jute.Reader) string {
	b := r.Buffer()
	if b == nil {
		return "data=null"
	}
	return fmt.Sprintf("data=%q", b)
}

// sorted prints a list whose order the server is free to choose.
func sorted(r *jute.Reader) string {
	list := r.Strings()
	slices.Sort(list)
	return fmt.Sprintf("%q", list)
}

func acls(r *jute.Reader) string {
	var out []string
	for _, a := range proto.DecodeACLs(r) {
		out = append(out, fmt.Sprintf("%s:%s:%d", a.ID.Scheme, a.ID.ID, a.Perms))
	}
	return strings.Join(out, ";")
}

func (s *script) stat(r *jute.Reader) string {
	var st proto.Stat
	st.Decode(r)
	return fmt.Sprintf("c=%d m=%d p=%d v=%d cv=%d av=%d owner=%s len=%d kids=%d", st.Czxid,
		st.Mzxid, st.Pzxid, st.Version, st.Cversion, st.Aversion, s.session(st.EphemeralOwner),
		st.DataLength, st.NumChildren)
}

func (s *script) multi(r *jute.Reader) string {
	var out strings.Builder
	for {
		var h proto.MultiHeader
		h.Decode(r)
		if r.Err() != nil || h.Done {
			return strings.TrimSuffix(out.String(), "\n")
		}
		fmt.Fprintf(&out, "\n  type=%d err=%d", h.Type, h.Err)
		if h.Type == proto.OpError {
			fmt.Fprintf(&out, " code=%d", r.Int32())
		} else if h.Type != proto.OpDelete && h.Type != proto.OpCheck {
			fmt.Fprintf(&out, " %s", s.body(r, h.Type))
		}
	}
}
