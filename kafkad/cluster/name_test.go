package cluster

import (
	"strings"
	"testing"
)

func TestTopicNameError(t *testing.T) {
	const intro = "Topic name is invalid: "
	long := strings.Repeat("n", 250)
	for name, want := range map[string]string{
		"book-topic": "", "A.b_9": "", long[1:]: "", "...": "",
		"":   intro + "the empty string is not allowed",
		".":  intro + "'.' is not allowed",
		"..": intro + "'..' is not allowed",
		long: intro + "the length of '" + long + "' is longer than the max allowed length 249",
		"a b": intro + "'a b' contains one or more characters other than ASCII alphanumerics, '.'," +
			" '_' and '-'",
		"é": intro + "'é' contains one or more characters other than ASCII alphanumerics, '.'," +
			" '_' and '-'",
	} {
		if got := TopicNameError(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
