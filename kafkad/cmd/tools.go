package cmd

import "zkafka/etc"

// tools are the command line tools by upstream's names.
var tools = etc.Programs{
	"kafka-topics":              Topics,
	"kafka-console-producer":    ConsoleProducer,
	"kafka-console-consumer":    ConsoleConsumer,
	"kafka-consumer-groups":     ConsumerGroups,
	"kafka-broker-api-versions": BrokerApiVersions,
	"kafka-verifiable-producer": VerifiableProducer,
	"zookeeper-shell":           ZookeeperShell,
}
