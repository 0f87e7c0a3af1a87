package cmd

// tools are the command line tools by upstream's names.
var tools = []program{
	{"kafka-topics", Topics},
	{"kafka-console-producer", ConsoleProducer},
	{"kafka-console-consumer", ConsoleConsumer},
	{"kafka-consumer-groups", ConsumerGroups},
	{"kafka-broker-api-versions", BrokerApiVersions},
	{"kafka-verifiable-producer", VerifiableProducer},
	{"zookeeper-shell", ZookeeperShell},
}
