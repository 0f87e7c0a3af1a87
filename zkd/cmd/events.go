package cmd

import (
	"go.uber.org/zap"

	"zkafka/systemd"
)

// events are the messages of the server's packages that operators look for.
var events = map[string]string{
	"session expired": systemd.EventSessionExpired,
	"stopping: the transaction log cannot be written":     systemd.EventDiskFault,
	"an unfinished write was cut off the transaction log": systemd.EventTornTail,
}

// newLogger is the daemon's logger.
func newLogger() *zap.Logger { return systemd.WithEvents(systemd.NewLogger(zap.InfoLevel), events) }
