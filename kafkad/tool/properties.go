package tool

import (
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// property is a setting of Java clients.
type property struct {
	known Client
	check check
	// def is what holds without the property: upstream's default, or "" to leave the choice to our
	// library where it makes no difference but speed.
	def string
	// options is what the property means to our library. It is nil if that takes other properties,
	// too (see connect, backOff, produce and consume), or if the tool itself sees to it.
	options func(value string) []kgo.Opt
}

const (
	noClasses   = "classes of Java cannot be loaded here"
	noProviders = "security providers of Java cannot be loaded here"
)

// javaProperties are all that clients of 3.9 know.
var javaProperties = withHarmless(map[string]property{
	// Whom to connect to, and how.
	"bootstrap.servers":                     {every, anything, "", nil},
	"client.id":                             {every, anything, "", nil},
	"security.protocol":                     {every, oneOfAnyCase(protocols...), "PLAINTEXT", nil},
	"sasl.mechanism":                        {every, anything, "GSSAPI", nil},
	"sasl.jaas.config":                      {every, anything, "", nil},
	"ssl.endpoint.identification.algorithm": {every, anything, "https", nil},
	"ssl.enabled.protocols":                 {every, tlsProtocols, "TLSv1.2,TLSv1.3", nil},
	"ssl.truststore.location":               {every, anything, "", nil},
	"ssl.truststore.certificates":           {every, anything, "", nil},
	"ssl.keystore.location":                 {every, anything, "", nil},
	"ssl.keystore.certificate.chain":        {every, anything, "", nil},
	"ssl.keystore.key":                      {every, anything, "", nil},
	"send.buffer.bytes":                     {every, integer(-1), "", nil},
	"receive.buffer.bytes":                  {every, integer(-1), "", nil},
	"socket.connection.setup.timeout.ms":    {every, long(0), "10000", nil},
	"connections.max.idle.ms":               {every, long(math.MinInt64), "", idle},
	"request.timeout.ms":                    {every, integer(0), "30000", requestTimeout},
	"default.api.timeout.ms":                {Consumer | Admin, integer(0), "60000", nil},
	"metadata.max.age.ms":                   {every, long(0), "", metadataAge},
	"retries":                               {Producer | Admin, integer(0), "", nil},
	"retry.backoff.ms":                      {every, long(0), "100", nil},
	"retry.backoff.max.ms":                  {every, long(0), "1000", nil},
	"enable.metrics.push":                   {every, boolean, "", metricsPush},

	// What somebody relies on who sets it, and what is not to be had here.
	"interceptor.classes":                {Producer | Consumer, refused(noClasses), "", nil},
	"sasl.client.callback.handler.class": {every, refused(noClasses), "", nil},
	"sasl.login.callback.handler.class":  {every, refused(noClasses), "", nil},
	"sasl.login.class":                   {every, refused(noClasses), "", nil},
	"ssl.engine.factory.class":           {every, refused(noClasses), "", nil},
	"security.providers":                 {every, refused(noProviders), "", nil},
	"ssl.provider":                       {every, refused(noProviders), "", nil},
	"ssl.cipher.suites":                  {every, refused("the suites cannot be chosen"), "", nil},
	"transactional.id":                   {Producer, refused("no tool has transactions"), "", nil},
	"bootstrap.controllers":              {Admin, refused("ZooKeeper's clusters have none"), "", nil},

	// Producers.
	"acks":                                  {Producer, oneOf("all", "-1", "0", "1"), "all", nil},
	"enable.idempotence":                    {Producer, boolean, "true", nil},
	"max.in.flight.requests.per.connection": {Producer, integer(1), "", nil},
	"linger.ms":                             {Producer, long(0), "0", linger},
	"batch.size":                            {Producer, integer(0), "16384", batchSize},
	"max.request.size":                      {Producer, integer(0), "1048576", nil},
	"max.block.ms":                          {Producer, long(0), "60000", nil},
	"buffer.memory":                         {Producer, long(0), "33554432", bufferMemory},
	"delivery.timeout.ms":                   {Producer, integer(0), "120000", nil},
	"compression.type":                      {Producer, oneOf(codecNames...), "none", nil},
	"compression.gzip.level":                {Producer, gzipLevel, "", nil},
	"compression.lz4.level":                 {Producer, between("INT", 32, 1, 17), "", nil},
	"compression.zstd.level":                {Producer, between("INT", 32, -131072, 22), "", nil},
	"partitioner.class":                     {Producer, partitionerClass, "", nil},
	"partitioner.ignore.keys":               {Producer, boolean, "false", nil},

	"partitioner.adaptive.partitioning.enable": {Producer, boolean, "true", nil},

	// Consumers.
	"group.id":                      {Consumer, anything, "", nil},
	"group.instance.id":             {Consumer, nonEmpty, "", text(kgo.InstanceID)},
	"group.protocol":                {Consumer, oneOfAnyCase("CONSUMER", "CLASSIC"), "classic", nil},
	"group.remote.assignor":         {Consumer, anything, "", nil},
	"partition.assignment.strategy": {Consumer, assignors, usualAssignors, nil},
	"auto.offset.reset":             {Consumer, oneOf("latest", "earliest", "none"), "latest", nil},
	"enable.auto.commit":            {Consumer, boolean, "true", nil},
	"auto.commit.interval.ms":       {Consumer, integer(0), "", commitInterval},
	"session.timeout.ms":            {Consumer, integer(math.MinInt32), "", sessionTimeout},
	"heartbeat.interval.ms":         {Consumer, integer(math.MinInt32), "", heartbeat},
	"max.poll.interval.ms":          {Consumer, integer(1), "300000", rebalanceTimeout},
	"max.poll.records":              {Consumer, integer(1), "500", nil},
	"exclude.internal.topics":       {Consumer, boolean, "true", nil},
	"allow.auto.create.topics":      {Consumer, boolean, "true", autoCreation},
	"isolation.level":               {Consumer, oneOf(levels...), "read_uncommitted", isolation},
	"client.rack":                   {Consumer, anything, "", text(kgo.Rack)},
	"check.crcs":                    {Consumer, boolean, "", checksums},
	"fetch.min.bytes":               {Consumer, integer(0), "", size(kgo.FetchMinBytes)},
	"fetch.max.bytes":               {Consumer, integer(0), "", fetchMax},
	"fetch.max.wait.ms":             {Consumer, integer(0), "", fetchWait},
	"max.partition.fetch.bytes":     {Consumer, integer(0), "", size(kgo.FetchMaxPartitionBytes)},
})

// harmless are the properties that nobody can miss in a tool: they concern metrics, the machinery
// of Java's clients, security mechanisms that are refused where they are chosen, passwords of
// files that are not PEM, and what the library decides itself.
var harmless = map[Client]string{
	every: `auto.include.jmx.reporter client.dns.lookup metadata.recovery.strategy metric.reporters
		metrics.num.samples metrics.recording.level metrics.sample.window.ms reconnect.backoff.ms
		reconnect.backoff.max.ms socket.connection.setup.timeout.max.ms sasl.kerberos.kinit.cmd
		sasl.kerberos.min.time.before.relogin sasl.kerberos.service.name
		sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor
		sasl.login.connect.timeout.ms sasl.login.read.timeout.ms sasl.login.refresh.buffer.seconds
		sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor
		sasl.login.refresh.window.jitter sasl.login.retry.backoff.max.ms
		sasl.login.retry.backoff.ms sasl.oauthbearer.clock.skew.seconds
		sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
		sasl.oauthbearer.header.urlencode sasl.oauthbearer.jwks.endpoint.refresh.ms
		sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms
		sasl.oauthbearer.jwks.endpoint.retry.backoff.ms sasl.oauthbearer.jwks.endpoint.url
		sasl.oauthbearer.scope.claim.name sasl.oauthbearer.sub.claim.name
		sasl.oauthbearer.token.endpoint.url ssl.key.password ssl.keymanager.algorithm
		ssl.keystore.password ssl.keystore.type ssl.protocol ssl.secure.random.implementation
		ssl.trustmanager.algorithm ssl.truststore.password ssl.truststore.type`,
	Producer: `key.serializer value.serializer metadata.max.idle.ms
		partitioner.availability.timeout.ms transaction.timeout.ms`,
	Consumer: `key.deserializer value.deserializer internal.leave.group.on.close
		internal.throw.on.fetch.stable.offset.unsupported`,
}

func withHarmless(table map[string]property) map[string]property {
	for client, names := range harmless {
		for _, name := range strings.Fields(names) {
			table[name] = property{known: client, check: anything}
		}
	}
	return table
}

// The library refuses values beyond some limits that upstream has not; it gets the nearest.
const (
	longestLinger  = time.Minute
	longestIdle    = 15 * time.Minute
	longestRequest = 15 * time.Minute
	longestAge     = time.Hour
	longestOnWire  = math.MaxInt32 * time.Millisecond
	shortest       = 100 * time.Millisecond // of what concerns groups and requests
	shortestAge    = 10 * time.Millisecond
	shortestWait   = 10 * time.Millisecond
	smallestBatch  = 512
	largestBatch   = 1 << 30
	largestFrame   = 1 << 30
	usualFrame     = 100 << 20 // as the library cuts requests and replies, unless told otherwise
)

func lasting[O kgo.Opt](
	option func(time.Duration) O, least, most time.Duration,
) func(string) []kgo.Opt {
	return func(v string) []kgo.Opt {
		return []kgo.Opt{option(min(max(milliseconds(v), least), most))}
	}
}

var (
	linger           = lasting(kgo.ProducerLinger, 0, longestLinger)
	commitInterval   = lasting(kgo.AutoCommitInterval, shortest, longest)
	sessionTimeout   = lasting(kgo.SessionTimeout, shortest, longestOnWire)
	heartbeat        = lasting(kgo.HeartbeatInterval, time.Millisecond, longest)
	rebalanceTimeout = lasting(kgo.RebalanceTimeout, shortest, longestOnWire)
	fetchWait        = lasting(kgo.FetchMaxWait, shortestWait, longestOnWire)
)

// idle closes unused connections; a negative time means never.
func idle(v string) []kgo.Opt {
	d := milliseconds(v)
	if d < 0 {
		d = longestIdle
	}
	return []kgo.Opt{kgo.ConnIdleTimeout(min(max(d, shortest), longestIdle))}
}

func requestTimeout(v string) []kgo.Opt {
	d := min(max(milliseconds(v), shortest), longestRequest)
	return []kgo.Opt{kgo.RequestTimeoutOverhead(d), kgo.ProduceRequestTimeout(d)}
}

func metadataAge(v string) []kgo.Opt {
	d := min(max(milliseconds(v), shortestAge), longestAge)
	opts := []kgo.Opt{kgo.MetadataMaxAge(d)}
	if d < 5*time.Second { // the library's least time between two questions
		opts = append(opts, kgo.MetadataMinAge(d))
	}
	return opts
}

func size[O kgo.Opt](option func(int32) O) func(string) []kgo.Opt {
	return func(v string) []kgo.Opt { return []kgo.Opt{option(int32(whole(v)))} }
}

func fetchMax(v string) []kgo.Opt {
	n := int32(min(max(1, whole(v)), largestFrame))
	return []kgo.Opt{kgo.FetchMaxBytes(n), kgo.BrokerMaxReadBytes(max(n, usualFrame))}
}

func batchSize(v string) []kgo.Opt {
	return []kgo.Opt{kgo.ProducerBatchMaxBytes(int32(BatchLimit(whole(v))))}
}

// BatchLimit returns the size of a batch nearest to n bytes that the library can be told.
func BatchLimit(n int) int { return min(max(n, smallestBatch), largestBatch) }

func bufferMemory(v string) []kgo.Opt {
	// The library takes 0 for no limit, and has one for records besides.
	return []kgo.Opt{kgo.MaxBufferedBytes(max(1, whole(v))), kgo.MaxBufferedRecords(math.MaxInt)}
}

func text[O kgo.Opt](option func(string) O) func(string) []kgo.Opt {
	return func(v string) []kgo.Opt { return []kgo.Opt{option(v)} }
}

func metricsPush(v string) []kgo.Opt  { return onlyIf(!isTrue(v), kgo.DisableClientMetrics()) }
func checksums(v string) []kgo.Opt    { return onlyIf(!isTrue(v), kgo.DisableFetchCRCValidation()) }
func autoCreation(v string) []kgo.Opt { return onlyIf(isTrue(v), kgo.AllowAutoTopicCreation()) }

var levels = []string{"read_committed", "read_uncommitted"}

func isolation(v string) []kgo.Opt {
	return onlyIf(v == levels[0], kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func onlyIf(wanted bool, option kgo.Opt) []kgo.Opt {
	if wanted {
		return []kgo.Opt{option}
	}
	return nil
}
