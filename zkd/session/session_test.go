package session_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"zkafka/zkd/session"
)

// TestPassword holds passwords that Apache ZooKeeper 3.9.4 gave to sessions, captured from connect
// responses.
func TestPassword(t *testing.T) {
	for _, c := range passwords {
		p := session.Password(c.id)
		if got := hex.EncodeToString(p[:]); got != c.password {
			t.Errorf("password of 0x%x is %s, not %s", uint64(c.id), got, c.password)
		}
	}
}

var passwords = []struct {
	id       int64
	password string
}{
	{0x10000448d170000, "7bd5e309ec98c72b51f0f0401561cd7c"},
	{0x10000448d170001, "8ef6dd098ce4a6704633586ce9e9e149"},
	{0x10000448d170002, "5593ef09ac0109a2676a22ea6e4fa4e2"},
}

func TestFirstID(t *testing.T) {
	for _, c := range []struct {
		server, millis int64
		want           string
	}{
		{0, 0, "0"},
		{0, 1, "10000"},
		{1, 0x448d17, "10000448d170000"},
		{5, 0xff_ffff_ffff, "5ffffffffff0000"},
		{5, 0x1ff_ffff_ffff, "5ffffffffff0000"}, // only 40 bits count
		{0x80, 0, "8000000000000001"},           // not the mark of containers
		{255, 1, "ff00000000010000"},
	} {
		if got := fmt.Sprintf("%x", uint64(session.FirstID(c.server, c.millis))); got != c.want {
			t.Errorf("FirstID(%d, %x) = %s, not %s", c.server, c.millis, got, c.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	tr := session.NewTracker(2000, 1, 10_000)
	a, b := tr.NewID(), tr.NewID()
	tr.Add(a, 4000, 10_000) // dies at the first multiple of 2000 behind 14,000
	tr.Add(b, 4500, 10_000)
	steps := []struct {
		now  int64
		want []int64
	}{
		{14_000, nil},
		{15_999, nil},
		{16_000, []int64{a, b}},
		{99_000, nil},
	}
	for _, s := range steps {
		if got := tr.Expire(nil, s.now, nobody); !slices.Equal(got, s.want) {
			t.Errorf("at %d expired %v, not %v", s.now, got, s.want)
		}
	}
	if tr.Touch(a, 4000, 99_000) || tr.Live(a) {
		t.Error("a session that expired was touched")
	}
	tr.Remove(a)
	if tr.Get(a) != nil || tr.Len() != 1 {
		t.Error("a removed session is still there")
	}
}

func TestTouch(t *testing.T) {
	tr := session.NewTracker(1000, 7, 0)
	id := tr.NewID()
	tr.Add(id, 3000, 0)
	for now := int64(0); now < 20_000; now += 500 {
		if got := tr.Expire(nil, now, nobody); len(got) > 0 {
			t.Fatalf("expired at %d although it was touched", now)
		}
		if !tr.Touch(id, 3000, now) {
			t.Fatal("a living session was not touched")
		}
	}
	// A shorter timeout does not shorten the life it has.
	tr.Touch(id, 1000, 19_500)
	for now := int64(20_000); now < 23_000; now += 1000 {
		if got := tr.Expire(nil, now, nobody); len(got) > 0 {
			t.Errorf("expired at %d, before its time", now)
		}
	}
	if got := tr.Expire(nil, 23_000, nobody); len(got) != 1 {
		t.Error("did not expire")
	}
}

// nobody is spared.
func nobody(int64) bool { return false }

// TestSpare: a session that is spared lives from tick to tick, and dies when it is spared no more.
func TestSpare(t *testing.T) {
	tr := session.NewTracker(1000, 1, 0)
	for id := range int64(3) {
		tr.Add(id+1, 2000, 0)
	}
	second := func(id int64) bool { return id == 2 }
	want := map[int64][]int64{3000: {1, 3}}
	for now := int64(1000); now < 9000; now += 1000 {
		if got := tr.Expire(nil, now, second); !slices.Equal(got, want[now]) {
			t.Errorf("at %d expired %v, not %v", now, got, want[now])
		}
	}
	if !tr.Touch(2, 2000, 8500) {
		t.Error("the session that was spared is not alive")
	}
	tr.Grant(2, 12_500)
	for now := int64(9000); now < 13_000; now += 1000 {
		if got := tr.Expire(nil, now, nobody); len(got) != 0 {
			t.Errorf("at %d expired %v, which was granted more", now, got)
		}
	}
	if got := tr.Expire(nil, 13_000, nobody); !slices.Equal(got, []int64{2}) {
		t.Errorf("expired %v in the end", got)
	}
}

// TestLate: an owner that has stood still gives everybody time to be heard, once.
func TestLate(t *testing.T) {
	tr := session.NewTracker(1000, 1, 0)
	tr.Add(1, 2000, 0)
	tr.Add(2, 2000, 0)
	if got := tr.Expire(nil, 7300, nobody); len(got) != 0 {
		t.Fatalf("expired %v although nobody can have been heard", got)
	}
	if next := tr.NextExpiry(); next <= 8000 || next > 10_000 {
		t.Fatalf("comes back at %d", next)
	}
	tr.Touch(2, 2000, 7400)
	if got := tr.Expire(nil, 11_700, nobody); !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("late again, expired %v", got)
	}
	tr.Add(3, 2000, 12_000)
	if got := tr.Expire(nil, 99_000, nobody); len(got) != 0 {
		t.Errorf("expired %v after it has stood still another time", got)
	}
}

// TestSleep: a machine that was suspended walks no empty buckets, and expires what is due.
func TestSleep(t *testing.T) {
	tr := session.NewTracker(10, 1, 0)
	tr.Add(1, 100, 0)
	tr.Add(2, 1<<50, 0)
	tr.Expire(nil, 1<<49, nobody)
	if got := tr.Expire(nil, tr.NextExpiry(), nobody); !slices.Equal(got, []int64{1}) {
		t.Errorf("expired %v", got)
	}
	if next := tr.NextExpiry(); next <= 1<<49 {
		t.Errorf("next expiry %d lies in the past", next)
	}
}

func TestClosing(t *testing.T) {
	tr := session.NewTracker(1000, 1, 0)
	tr.Add(1, 1000, 0)
	tr.SetClosing(1)
	if tr.Live(1) || tr.Touch(1, 1000, 0) {
		t.Error("a closing session goes on")
	}
	if got := tr.Expire(nil, 10_000, nobody); len(got) != 0 {
		t.Error("a closing session expired")
	}
	if n := len(tr.Buckets()); n != 0 {
		t.Errorf("%d buckets left", n)
	}
	tr.Remove(1)
	if tr.Len() != 0 {
		t.Error("not removed")
	}
}
