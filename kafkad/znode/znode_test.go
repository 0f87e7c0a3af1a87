package znode

import (
	"reflect"
	"testing"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
)

// Registrations as brokers of all times write them.
func TestDecodeRegistration(t *testing.T) {
	plain := []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 9092}}
	for _, c := range []struct {
		data string
		want cluster.Broker
		bad  bool
	}{
		{`{"version":1,"host":"h","port":9092,"jmx_port":-1,"timestamp":"1"}`,
			cluster.Broker{Endpoints: plain}, false},
		{`{"version":2,"endpoints":["PLAINTEXT://h:9092","SSL://[::1]:9093"]}`,
			cluster.Broker{Endpoints: append(plain[:1:1], cluster.Endpoint{
				Listener: "SSL", Protocol: cluster.SSL, Host: "::1", Port: 9093})}, false},
		{`{"version":5,"host":null,"port":-1,"rack":"r","features":{"f":{}},"future":[1],
			"endpoints":["client://h:1"],"listener_security_protocol_map":{"CLIENT":"SASL_SSL"}}`,
			cluster.Broker{Rack: "r", Endpoints: []cluster.Endpoint{{
				Listener: "CLIENT", Protocol: cluster.SASLSSL, Host: "h", Port: 1}}}, false},
		{`{"version":0,"host":"h"}`, cluster.Broker{}, true},
		{`{"version":2,"endpoints":["h:1"]}`, cluster.Broker{}, true},
		{`{"version":2,"endpoints":["UNHEARD://h:1"]}`, cluster.Broker{}, true},
		{`{`, cluster.Broker{}, true},
		{``, cluster.Broker{}, true},
	} {
		got, err := DecodeRegistration(3, []byte(c.data))
		if c.bad != (err != nil) {
			t.Errorf("%s: error %v", c.data, err)
			continue
		}
		c.want.ID, c.want.Epoch = 3, -1
		if err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\nreads as %+v", c.data, got)
		}
	}
}

func TestRegistrationOfManyListeners(t *testing.T) {
	got := string(EncodeRegistration(Registration{JMXPort: 9, Endpoints: []cluster.Endpoint{
		{Listener: "INTERNAL", Protocol: cluster.SSL, Host: "a", Port: 1},
		{Listener: "EXTERNAL", Protocol: cluster.Plaintext, Host: "::1", Port: 2},
	}}, 5))
	want := `{"features":{},"listener_security_protocol_map":{"INTERNAL":"SSL",` +
		`"EXTERNAL":"PLAINTEXT"},"endpoints":["INTERNAL://a:1","EXTERNAL://[::1]:2"],` +
		`"jmx_port":9,"port":2,"host":"::1","version":5,"timestamp":"5"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	b, err := DecodeRegistration(1, []byte(got))
	if err != nil || len(b.Endpoints) != 2 || b.Endpoints[1].Host != "::1" {
		t.Errorf("reads back as %+v (%v)", b, err)
	}
}

func TestDecodeTopic(t *testing.T) {
	for _, bad := range []string{``, `{"partitions":{"x":[1]}}`, `{"partitions":{"-1":[1]}}`,
		`{"partitions":[1]}`, `{"topic_id":"short","partitions":{}}`} {
		if _, err := DecodeTopic("t", []byte(bad)); err == nil {
			t.Errorf("%q was taken for a topic", bad)
		}
	}
	data := `{"partitions":{"0":[1,2],"1":[2,1],"10":[1]},"topic_id":"vT4p0Sg9QeCk3o0yJtXb2A",` +
		`"adding_replicas":{"1":[2]},"removing_replicas":{"1":[1]},"version":3}`
	n, err := DecodeTopic("t", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if n.Assignments[2].Index != 10 || n.Assignments[1].Adding[0] != 2 {
		t.Errorf("reads as %+v", n)
	}
	if got := string(EncodeTopic(&n)); got != data {
		t.Errorf("got  %s\nwant %s", got, data)
	}
}

func TestStates(t *testing.T) {
	s := &controller.State{Leader: -1, LeaderEpoch: 4, ControllerEpoch: 7, ISR: []int32{3}}
	const want = `{"controller_epoch":7,"leader":-1,"version":1,"leader_epoch":4,"isr":[3]}`
	if got := string(EncodeState(s)); got != want {
		t.Errorf("got %s", got)
	}
	s.Recovering = true
	back, err := DecodeState(EncodeState(s), 9)
	s.Version = 9
	if err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("reads back as %+v (%v)", back, err)
	}
}

func FuzzDecodeZnodes(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"partitions":{"0":[1]}}`, `{"version":1,"config":{"a":"b"}}`,
		`{"version":2,"entity_path":"topics/t"}`, `{"version":2,"endpoints":["A://h:1"]}`, `5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := DecodeTopic("t", data); err == nil {
			again, err := DecodeTopic("t", EncodeTopic(&n))
			if err != nil || len(again.Assignments) != len(n.Assignments) {
				t.Errorf("%q does not survive: %v", data, err)
			}
		}
		if c, err := DecodeConfig(data); err == nil {
			again, err := DecodeConfig(EncodeConfig(c))
			if err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%q does not survive: %v", data, err)
			}
		}
		DecodeRegistration(1, data)
		DecodeState(data, 0)
		DecodeController(data)
		DecodeConfigChange(data)
		DecodePartitionList(data)
		DecodeLogDirEvent(data)
		DecodeClusterID(data)
		DecodeProducerBlock(data)
	})
}
