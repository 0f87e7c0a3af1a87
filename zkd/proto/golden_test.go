package proto

import (
	"bytes"
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"zkafka/zkd/jute"
)

var (
	testACL  = []ACL{{31, ID{"world", "anyone"}}}
	twoACLs  = []ACL{{31, ID{"digest", "u:hash"}}, {1, ID{"ip", "10.0.0.0/8"}}}
	testData = []byte{1, 2, 0xff}
	testStat = Stat{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	testPw   = []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
)

// goldenRecords are the values that testdata/Capture.java gives to Apache's classes.
var goldenRecords = map[string]Record{
	"connectRequest": &ConnectRequest{
		0, 0x1234567890, 30000, 0x100abcdef0001, testPw, true, true,
	},
	"connectResponse": &ConnectResponse{
		Timeout: 20000, SessionID: 0x100abcdef0001, Passwd: testPw, HasReadOnly: true,
	},
	"requestHeader":   &RequestHeader{7, OpMulti},
	"replyHeader":     &ReplyHeader{-1, 0x100000002, ErrNoNode},
	"watcherEvent":    &WatcherEvent{EventNodeChildrenChanged, StateSyncConnected, "/a/b"},
	"authPacket":      &AuthPacket{0, "digest", []byte("u:p")},
	"getSASLRequest":  &GetSASLRequest{testData},
	"setSASLResponse": &SetSASLResponse{nil},
	"whoAmIResponse":  &WhoAmIResponse{[]ClientInfo{{"ip", "127.0.0.1"}, {"digest", "u"}}},
	"reconfigRequest": &ReconfigRequest{"server.1=h:1:2;3", "2", "", -1},

	"getEphemeralsRequest":         &GetEphemeralsRequest{"/x"},
	"getEphemeralsResponse":        &GetEphemeralsResponse{[]string{"/x/1", "/x/2"}},
	"getAllChildrenNumberRequest":  &GetAllChildrenNumberRequest{"/"},
	"getAllChildrenNumberResponse": &GetAllChildrenNumberResponse{77},

	"stat":               &testStat,
	"createRequest":      &CreateRequest{"/a", testData, testACL, ModeEphemeralSequential},
	"createRequestNulls": &CreateRequest{"/a", nil, nil, 0},
	"createRequestEmpty": &CreateRequest{"/é", []byte{}, []ACL{}, 0},
	"createTTLRequest": &CreateTTLRequest{
		"/t", testData, twoACLs, ModePersistentWithTTL, 60000,
	},
	"createResponse":       &CreateResponse{"/a0000000001"},
	"create2Response":      &Create2Response{"/a", testStat},
	"deleteRequest":        &DeleteRequest{"/a", AnyVersion},
	"existsRequest":        &ExistsRequest{"/a", true},
	"existsResponse":       &ExistsResponse{testStat},
	"getDataRequest":       &GetDataRequest{"/a", false},
	"getDataResponse":      &GetDataResponse{testData, testStat},
	"setDataRequest":       &SetDataRequest{"/a", testData, 4},
	"setDataResponse":      &SetDataResponse{testStat},
	"getACLRequest":        &GetACLRequest{"/a"},
	"getACLResponse":       &GetACLResponse{twoACLs, testStat},
	"setACLRequest":        &SetACLRequest{"/a", twoACLs, 2},
	"setACLResponse":       &SetACLResponse{testStat},
	"getChildrenRequest":   &GetChildrenRequest{"/a", true},
	"getChildrenResponse":  &GetChildrenResponse{[]string{"x", "y"}},
	"getChildren2Response": &GetChildren2Response{[]string{}, testStat},
	"syncRequest":          &SyncRequest{"/a"},
	"syncResponse":         &SyncResponse{"/a"},

	"setWatches": &SetWatches{99, []string{"/a"}, []string{"/b", "/c"}, []string{}},
	"setWatches2": &SetWatches2{
		99, []string{"/a"}, []string{"/b", "/c"}, []string{}, []string{"/a"}, []string{"/b", "/c"},
	},
	"checkWatchesRequest":  &CheckWatchesRequest{"/a", WatcherAny},
	"removeWatchesRequest": &RemoveWatchesRequest{"/a", WatcherChildren},
	"addWatchRequest":      &AddWatchRequest{"/a", AddWatchPersistentRecursive},
	"errorResponse":        &ErrorResponse{ErrNoWatcher},

	"multiRequest": &MultiRequest{[]MultiOp{
		{OpCreate, &CreateRequest{"/m", testData, testACL, ModePersistent}},
		{OpCreateContainer, &CreateRequest{"/c", testData, testACL, ModeContainer}},
		{OpCreateTTL, &CreateTTLRequest{"/t", testData, testACL, ModePersistentWithTTL, 5000}},
		{OpSetData, &SetDataRequest{"/m", testData, 0}},
		{OpCheck, &CheckVersionRequest{"/m", 1}},
		{OpDelete, &DeleteRequest{"/m", -1}},
	}},
	"multiReadRequest": &MultiRequest{[]MultiOp{
		{OpGetChildren, &GetChildrenRequest{"/m", false}},
		{OpGetData, &GetDataRequest{"/m", false}},
	}},
	"multiRequestEmpty": &MultiRequest{},
	"multiResponse": &MultiResponse{[]MultiResult{
		{Type: OpCreate, Path: "/m"},
		{Type: OpCreate2, Path: "/c", Stat: testStat},
		{Type: OpSetData, Stat: testStat},
		{Type: OpCheck},
		{Type: OpDelete},
	}},
	"multiResponseFailed": &MultiResponse{[]MultiResult{
		{Type: OpError}, {Type: OpError, Err: ErrBadVersion},
		{Type: OpError, Err: ErrRuntimeInconsistency},
	}},
	"multiReadResponse": &MultiResponse{[]MultiResult{
		{Type: OpGetChildren, Children: []string{"x"}},
		{Type: OpGetData, Data: testData, Stat: testStat},
		{Type: OpError, Err: ErrNoNode},
	}},
}

// goldenTxns are the transactions of testdata/Capture.java.
var goldenTxns = map[string]*Txn{
	"createSession":    txn(OpCreateSession, &CreateSessionTxn{30000}, true),
	"closeSession":     txn(OpCloseSession, &CloseSessionTxn{[]string{"/e1", "/e2"}}, true),
	"closeSessionNone": txn(OpCloseSession, &CloseSessionTxn{[]string{}}, true),
	"create":           txn(OpCreate, &CreateTxn{"/a", testData, testACL, true, 3}, true),
	"createV0":         txn(OpCreate, &CreateTxn{"/a", testData, testACL, true, -1}, false),
	"create2":          txn(OpCreate2, &CreateTxn{"/a", nil, twoACLs, false, -1}, true),
	"createContainer": txn(OpCreateContainer,
		&CreateContainerTxn{"/c", testData, testACL, 1}, true),
	"createTTL":       txn(OpCreateTTL, &CreateTTLTxn{"/t", testData, testACL, 1, 60000}, true),
	"delete":          txn(OpDelete, &DeleteTxn{"/a"}, true),
	"deleteContainer": txn(OpDeleteContainer, &DeleteTxn{"/c"}, false),
	"setData":         txn(OpSetData, &SetDataTxn{"/a", testData, 8}, true),
	"reconfig":        txn(OpReconfig, &SetDataTxn{"/zookeeper/config", testData, -1}, true),
	"setACL":          txn(OpSetACL, &SetACLTxn{"/a", twoACLs, 3}, true),
	"error":           txn(OpError, &ErrorTxn{ErrNoNode}, false),
	"multi": txn(OpMulti, &MultiTxn{[]SubTxn{
		{OpCreate, &CreateTxn{"/a", testData, testACL, false, 1}},
		{OpCheck, &CheckVersionTxn{"/a", 1}},
		{OpSetData, &SetDataTxn{"/a", testData, 2}},
		{OpSetACL, &SetACLTxn{"/a", testACL, 1}},
		{OpDelete, &DeleteTxn{"/a"}},
	}}, true),
	"multiFailed": txn(OpMulti, &MultiTxn{[]SubTxn{
		{OpDelete, &DeleteTxn{"/a"}},
		{OpError, &ErrorTxn{ErrBadVersion}},
		{OpError, &ErrorTxn{ErrRuntimeInconsistency}},
	}}, true),
}

func txn(t Op, body TxnBody, digest bool) *Txn {
	x := &Txn{Header: TxnHeader{0x100abcdef0001, 5, 0x100000007, 1700000000000, t}, Body: body}
	if digest {
		x.Digest = &TxnDigest{DigestVersion, 1371985504}
	}
	return x
}

// golden reads the bytes that Apache's classes wrote; testdata/Capture.java says how.
func golden(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/records.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = b
	}
	return out
}

func TestGoldenRecords(t *testing.T) {
	seen := 0
	for name, b := range golden(t) {
		if strings.HasPrefix(name, "txn.") {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			want := goldenRecords[name]
			if want == nil {
				t.Fatal("no value for the record")
			}
			var w jute.Writer
			want.Encode(&w)
			if !bytes.Equal(w.B, b) {
				t.Errorf("encoded\n%x, Apache writes\n%x", w.B, b)
			}
			got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(Record)
			r := jute.NewReader(b, 0)
			got.Decode(r)
			if r.Err() != nil || r.Remaining() != 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("decoded %+v, want %+v (%v, %d left)", got, want, r.Err(), r.Remaining())
			}
			for n := range b {
				cut := jute.NewReader(b[:n], 0)
				got.Decode(cut)
				if optional := strings.HasPrefix(name, "connect") && n == len(b)-1; !optional &&
					cut.Err() == nil {
					t.Errorf("the first %d of %d bytes decode without an error", n, len(b))
				}
			}
		})
	}
	if seen != len(goldenRecords) {
		t.Errorf("%d records captured, %d values to compare", seen, len(goldenRecords))
	}
}

func TestGoldenTxns(t *testing.T) {
	all := golden(t)
	for name, want := range goldenTxns {
		t.Run(name, func(t *testing.T) {
			b := all["txn."+name]
			if b == nil {
				t.Fatal("transaction was not captured")
			}
			got, err := DecodeTxn(b)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("decoded %+v, want %+v (%v)", got, want, err)
			}
			if name == "createV0" {
				return // read, never written
			}
			var w jute.Writer
			EncodeTxn(&w, want)
			if !bytes.Equal(w.B, b) {
				t.Errorf("encoded\n%x, Apache writes\n%x", w.B, b)
			}
		})
	}
}

// TestConnectWithoutReadOnly checks the handshake of clients before 3.4.
func TestConnectWithoutReadOnly(t *testing.T) {
	b := golden(t)["connectRequest"]
	var x ConnectRequest
	r := jute.NewReader(b[:len(b)-1], 0)
	x.Decode(r)
	if r.Err() != nil || x.HasReadOnly || x.ReadOnly || len(x.Passwd) != 16 {
		t.Errorf("%+v, %v", x, r.Err())
	}
	var w jute.Writer
	(&ConnectResponse{Passwd: testPw}).Encode(&w)
	if len(w.B) != 36 {
		t.Errorf("a reply without the read-only byte has %d bytes, want 36", len(w.B))
	}
}

// TestCloseSessionWithoutPaths checks what releases before 3.6, and closeSessionTxn.enabled=false,
// leave in a log: no list, with and without a digest behind it.
func TestCloseSessionWithoutPaths(t *testing.T) {
	for _, digest := range []bool{false, true} {
		want := txn(OpCloseSession, &CloseSessionTxn{}, digest)
		var w jute.Writer
		EncodeTxn(&w, want)
		got, err := DecodeTxn(w.B)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("digest %v: %+v, %v", digest, got, err)
		}
	}
}

func TestUnknownTxn(t *testing.T) {
	var w jute.Writer
	(&TxnHeader{Type: 99}).Encode(&w)
	if _, err := DecodeTxn(w.B); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("type 99: %v", err)
	}
	w.B = w.B[:0]
	EncodeTxn(&w, txn(OpMulti, &MultiTxn{[]SubTxn{{OpMulti, &MultiTxn{}}}}, false))
	if _, err := DecodeTxn(w.B); err == nil {
		t.Error("a multi inside a multi was accepted")
	}
}

func FuzzRecords(f *testing.F) {
	names := make([]string, 0, len(goldenRecords))
	for name, b := range golden(f) {
		if goldenRecords[name] != nil {
			f.Add(name, b)
			names = append(names, name)
		}
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		proto := goldenRecords[name]
		if proto == nil {
			proto = goldenRecords[names[len(name)%len(names)]]
		}
		x := reflect.New(reflect.TypeOf(proto).Elem()).Interface().(Record)
		r := jute.NewReader(b, jute.MaxLength(jute.DefaultMaxBuffer, 0))
		x.Decode(r)
		if r.Err() != nil {
			return
		}
		// What was decoded encodes to bytes that mean the same.
		var w jute.Writer
		x.Encode(&w)
		y := reflect.New(reflect.TypeOf(proto).Elem()).Interface().(Record)
		again := jute.NewReader(w.B, 0)
		y.Decode(again)
		if again.Err() != nil || again.Remaining() != 0 || !reflect.DeepEqual(x, y) {
			t.Errorf("%T: %+v became %+v, %v", x, x, y, again.Err())
		}
	})
}

func FuzzTxn(f *testing.F) {
	for name, b := range golden(f) {
		if strings.HasPrefix(name, "txn.") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := DecodeTxn(b)
		if err != nil {
			return
		}
		var w jute.Writer
		EncodeTxn(&w, x)
		y, err := DecodeTxn(w.B)
		if err != nil || !reflect.DeepEqual(x, y) {
			t.Errorf("%+v became %+v, %v", x, y, err)
		}
	})
}
