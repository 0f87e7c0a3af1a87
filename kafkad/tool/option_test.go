package tool

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	options := []Option{
		Text("topic", "t", ""), Number("partitions", "n", ""), Flag("list", ""),
		{Name: "codec", Argument: Optional}, {Name: "verbose", Needs: []string{"list"}},
	}
	for _, c := range []struct {
		args, want string // want: "name=values" in order of the options, or the error
	}{
		{"--topic a --list", "topic=[a] list=[]"},
		{"--topic=a --topic b", "topic=[a b]"},
		{"-topic a stray --partitions=3 words", "topic=[a] partitions=[3]"},
		{"--topic --list", "topic=[--list]"}, // a required argument is the next word, whatever it is
		{"--topic=", "topic=[]"},
		{"--codec --list", "list=[] codec=[]"},
		{"--codec zstd", "codec=[zstd]"},
		{"--codec=lz4 -- --list", "codec=[lz4]"},
		{"--topic", "Option topic requires an argument"},
		{"--bogus", "bogus is not a recognized option"},
		{"--top a", "top is not a recognized option"},
		{"-xyz", "x is not a recognized option"},
		{"--partitions x", "Cannot parse argument 'x' of option partitions"},
		{"--verbose", "Option(s) [verbose] are unavailable given other options on the command line"},
		{"--verbose --list", "list=[] verbose=[]"},
	} {
		p, err := Parse(options, strings.Fields(c.args))
		var got string
		if err != nil {
			got = err.Error()
		} else {
			var parts []string
			for _, o := range options {
				if p.Has(o.Name) {
					parts = append(parts, fmt.Sprintf("%s=%v", o.Name, p.All(o.Name)))
				}
			}
			got = strings.Join(parts, " ")
		}
		if got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.args, got, c.want)
		}
	}
}

func TestUsageShape(t *testing.T) {
	var b bytes.Buffer
	printUsage(&b, []Option{
		Text("bootstrap-server", "server to connect to", "REQUIRED: The Kafka server to connect to."),
		Flag("at-min-isr-partitions", "if set when describing topics, only show partitions whose"+
			" isr count is equal to the configured minimum."),
		Flag("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "wide"),
	})
	want := `Option                                   Description                            
------                                   -----------                            
--at-min-isr-partitions                  if set when describing topics, only    
                                           show partitions whose isr count is   
                                           equal to the configured minimum.     
--bootstrap-server <String: server to    REQUIRED: The Kafka server to connect  
  connect to>                              to.                                  
--zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz  wide                                   
`
	// Captured from kafka-topics of 3.9.2, whose other options make the left column 39 wide.
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
