package systemd

// Events that operators look for carry one of these as MESSAGE_ID. They never change their meaning;
// docs/operating/commands.md lists them.
const (
	EventStarted        = "4b8d84b0090e48e6aade25291a89540b" // the daemon serves
	EventStopped        = "2a7fa8300894445db59d0d6b6558ef7f" // a clean stop is complete
	EventBadConfig      = "3625b5ab8e4e44d7ae02bec709d4691e" // the configuration cannot be used
	EventReloaded       = "30db66a0b04848b4a742065591a1cbf1" // a changed configuration is in force
	EventTornTail       = "88c24bf892074d25915546b581e3df77" // an unfinished write was cut off
	EventDiskFault      = "2ce5fd860a524aedb7c1c96eaa2022f9" // a disk failed
	EventSessionExpired = "9450db66e00349febc772e2406536bf1" // a client's or our own session expired
	EventRegistered     = "92455905d1f14326894a6e7bed6003e4" // the broker stands in ZooKeeper
	EventIDTaken        = "795adee2903a47f5aa125d6ab13db251" // somebody else holds the broker's id
	EventElected        = "cc82259a730446b8917b0801364457e7" // this broker is the controller
	EventResigned       = "26ccaff997e344a58405e4d271538a05" // this broker is no longer the controller
	EventTopicCreated   = "a462c87148074463b4eb58c8c6c2a522" // a topic exists
	EventTopicDeleted   = "3da58539d14c4638a921df961c43f36b" // a topic is gone
)
