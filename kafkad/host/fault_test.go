package host

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/index"
)

// A disk that fills up under the index takes its own log dir offline, not the broker.
func TestFullDiskUnderTheIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disk.NewMem()
		h := open(t, fs, map[string]string{"segment.bytes": "2000"}, "/a", "/b")
		lead(t, h, state("t", 0, 0, 1), state("t", 1, 0, 1))
		dirs := h.LogDirs()
		if len(dirs) != 2 || len(dirs[0].Partitions) != 1 || len(dirs[1].Partitions) != 1 {
			t.Fatalf("%+v", dirs)
		}
		bad, good := dirs[0].Partitions[0].TP, dirs[1].Partitions[0].TP
		fs.SetFault(func(op disk.Op, path string) error {
			if strings.HasPrefix(path, dirs[0].Path+"/"+index.FilePrefix) && op == disk.OpWrite {
				return syscall.ENOSPC
			}
			return nil
		})
		defer fs.SetFault(nil)
		var err error
		appended := 0
		for ; err == nil && appended < 10000; appended++ {
			_, err = h.Append(t.Context(), bad, batch(strings.Repeat("x", 500)), 1, time.Second)
		}
		if !errors.Is(err, errcode.KafkaStorageError) {
			t.Fatalf("after %d appends: %v", appended, err)
		}
		synctest.Wait()
		if dirs = h.LogDirs(); !dirs[0].Offline || dirs[1].Offline {
			t.Errorf("%+v", dirs)
		}
		if _, err := h.Append(t.Context(), good, batch("x"), 1, time.Second); err != nil {
			t.Error(err)
		}
		if _, err := h.Append(t.Context(), bad, batch("x"), 1, time.Second); errcode.Of(err) !=
			errcode.KafkaStorageError {
			t.Errorf("append to the dir that is offline: %v", err)
		}
		h.Close()
	})
}
