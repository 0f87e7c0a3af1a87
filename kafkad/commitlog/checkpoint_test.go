package commitlog

import (
	"os"
	"reflect"
	"testing"

	"zkafka/kafkad/disk"
)

func TestCheckpointFormat(t *testing.T) {
	b, err := os.ReadFile("testdata/apache39/" + recoveryFile)
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeOffsets(b)
	if err != nil || !reflect.DeepEqual(m, map[TP]int64{{"rolled", 0}: 7, {"txn", 0}: 3}) {
		t.Fatal(m, err)
	}
	if got := encodeOffsets(m); string(got) != string(b) {
		t.Fatalf("%q instead of %q", got, b)
	}
	for _, bad := range []string{"0", "1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na x 1\n",
		"0\nx\n", "garbage"} {
		if _, err := decodeOffsets([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
		if _, err := decodeEpochs([]byte(bad)); err == nil {
			t.Errorf("%q is accepted as epochs", bad)
		}
	}
}

// TestMalformedCheckpoints: a broken high watermark takes the directory offline, the others cost
// only work.
func TestMalformedCheckpoints(t *testing.T) {
	for name, fatal := range map[string]bool{recoveryFile: false, logStartFile: false,
		highWatermarkFile: true, metaFile: true} {
		mem := disk.NewMem()
		if err := mem.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := replaceFile(mem, "/d", name, []byte("garbage")); err != nil {
			t.Fatal(err)
		}
		d, err := OpenDir(Options{FS: mem, Path: "/d"})
		if (err != nil) != fatal {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			d.Abandon()
		}
	}
}

func TestMeta(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/d")
	want := Meta{BrokerID: 3, ClusterID: "abc-_", DirectoryID: "xyz"}
	if err := d.SetMeta(want); err != nil {
		t.Fatal(err)
	}
	if err := d.SetMeta(Meta{BrokerID: 3, ClusterID: "abc-_"}); err != nil {
		t.Fatal(err)
	}
	d.Abandon()
	if got := mustOpen(t, mem, "/d").Meta(); got != want {
		t.Fatalf("%+v", got)
	}
	m, err := decodeMeta([]byte("# c\n! c\nversion = 0\nbroker.id=-1\ncluster.id=a\\:b\nother=1\n"))
	if err != nil || m != (Meta{BrokerID: -1, ClusterID: "a:b"}) {
		t.Fatal(m, err)
	}
	if _, err := decodeMeta([]byte("version=1\nnode.id=1\n")); err == nil {
		t.Fatal("a KRaft directory is accepted")
	}
}

func FuzzCheckpoints(f *testing.F) {
	f.Add([]byte("0\n1\ntopic 0 5\n"))
	f.Add([]byte("0\n2\n0 0\n3 5\n"))
	f.Add([]byte("version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA"))
	f.Add([]byte("version=0\nbroker.id=1\n"))
	f.Add([]byte(`{"version":0,"brokerEpoch":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeOffsets(b); err == nil {
			again, err := decodeOffsets(encodeOffsets(m))
			if err != nil || len(again) != len(m) {
				t.Fatal(again, err)
			}
		}
		if e, err := decodeEpochs(b); err == nil {
			again, err := decodeEpochs(encodeEpochs(e))
			if err != nil || len(again) != len(e) {
				t.Fatal(again, err)
			}
		}
		_, _ = decodePartition(b)
		_, _ = decodeMeta(b)
		_ = decodeClean(b)
	})
}
