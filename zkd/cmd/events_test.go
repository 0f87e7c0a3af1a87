package cmd

import (
	"testing"

	"zkafka/systemd/systemdtest"
)

func TestEventsAreLogged(t *testing.T) { systemdtest.CheckEvents(t, events) }
