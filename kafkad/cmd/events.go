package cmd

import (
	"go.uber.org/zap"

	"zkafka/systemd"
)

// events are the messages of the broker's packages that operators look for.
var events = map[string]string{
	"registered in ZooKeeper":                                  systemd.EventRegistered,
	"the broker id is taken; waiting until its holder is gone": systemd.EventIDTaken,
	"the ZooKeeper session expired; registering again":         systemd.EventSessionExpired,
	"elected controller":                                       systemd.EventElected,
	"no longer controller":                                     systemd.EventResigned,
	"resigned as controller":                                   systemd.EventResigned,
	"topic created":                                            systemd.EventTopicCreated,
	"topic deleted":                                            systemd.EventTopicDeleted,
	"disk error, log dir goes offline":                         systemd.EventDiskFault,
	"log is cut at the first bad batch":                        systemd.EventTornTail,
}

// newLogger is the daemon's logger.
func newLogger() *zap.Logger { return systemd.WithEvents(systemd.NewLogger(zap.InfoLevel), events) }
