package handler

import (
	"testing"

	"zkafka/kafkad/wire"
)

// What ApiVersions advertises must have a handler, and the other way round.
func TestRoutesAgreeWithTable(t *testing.T) {
	for key := range routes {
		_, advertised := wire.Lookup(int16(key))
		served := routes[key].message != nil || routes[key].raw != nil
		if advertised != served {
			t.Errorf("key %d: advertised %v, served %v", key, advertised, served)
		}
	}
}
